/// What is wrong with a request, for whoever sent it, in the languages of ``ReservationError/Language``.
package struct Wording: Hashable, Sendable {
    package let english: String
    package let korean: String

    init(_ english: String, korean: String) {
        self.english = english
        self.korean = korean
    }

    func appending(_ english: String, korean: String) -> Wording {
        Wording(self.english + english, korean: self.korean + korean)
    }
}
