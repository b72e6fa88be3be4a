import Foundation

/// The part of JSON Schema 2020-12 that the OpenAPI document uses. What it does not know it reports, and does not pass over.
struct Schema {
    let document: [String: Any]

    /// What is wrong with a value, one sentence each.
    func flaws(of value: Any, by schema: [String: Any], at path: String = "") -> [String] {
        if let reference = schema["$ref"] as? String {
            guard let target = resolve(reference) else { return ["\(path): \(reference) does not exist"] }
            return flaws(of: value, by: target, at: path)
        }
        let unknown = Set(schema.keys).subtracting([
            "type", "properties", "required", "additionalProperties", "items", "enum", "const", "format", "minimum",
            "maximum", "minLength", "maxLength", "minItems", "description", "default",
        ])
        guard unknown.isEmpty else { return ["\(path): the test does not know \(unknown.sorted())"] }
        var flaws = typeFlaws(value, schema, path)
        if let choices = schema["enum"] as? [String], !choices.contains(value as? String ?? "") {
            flaws.append("\(path): \(value) is none of \(choices)")
        }
        if let constant = schema["const"] as? String, value as? String != constant {
            flaws.append("\(path): \(value) is not \(constant)")
        }
        if let minimum = schema["minimum"] as? Double, let number = value as? Double, number < minimum {
            flaws.append("\(path): \(number) is less than \(minimum)")
        }
        if let object = value as? [String: Any] { flaws += objectFlaws(object, schema, path) }
        if let items = value as? [Any], let schema = schema["items"] as? [String: Any] {
            flaws += items.enumerated().flatMap { self.flaws(of: $0.element, by: schema, at: "\(path)/\($0.offset)") }
        }
        return flaws
    }

    func resolve(_ reference: String) -> [String: Any]? {
        var place: Any = document
        for step in reference.dropFirst(2).split(separator: "/") {
            guard let next = (place as? [String: Any])?[String(step)] else { return nil }
            place = next
        }
        return place as? [String: Any]
    }

    private func typeFlaws(_ value: Any, _ schema: [String: Any], _ path: String) -> [String] {
        if let types = schema["type"] as? [String] {
            let isOne = types.contains { typeFlaws(value, ["type": $0], path).isEmpty }
            return isOne ? [] : ["\(path): \(value) is none of \(types)"]
        }
        guard let type = schema["type"] as? String else { return [] }
        let isRight: Bool =
            switch type {
            case "object": value is [String: Any]
            case "array": value is [Any]
            case "string": value is String
            case "boolean": value is Bool
            case "integer": (value as? NSNumber).map { $0.doubleValue == $0.doubleValue.rounded() } ?? false
            case "null": value is NSNull
            case "number": value is NSNumber
            default: false
            }
        guard isRight else { return ["\(path): \(value) is no \(type)"] }
        return formatFlaws(value, schema["format"] as? String, path)
    }

    private func formatFlaws(_ value: Any, _ format: String?, _ path: String) -> [String] {
        guard let format, let text = value as? String else { return [] }
        let isRight: Bool =
            switch format {
            case "uuid": UUID(uuidString: text) != nil
            case "date-time":
                (try? Date(text, strategy: Date.ISO8601FormatStyle(includingFractionalSeconds: true))) != nil
            case "date": text.wholeMatch(of: /\d{4}-\d\d-\d\d/) != nil
            default: true
            }
        return isRight ? [] : ["\(path): \(text) is no \(format)"]
    }

    private func objectFlaws(_ object: [String: Any], _ schema: [String: Any], _ path: String) -> [String] {
        let properties = schema["properties"] as? [String: Any] ?? [:]
        var flaws = (schema["required"] as? [String] ?? []).filter { object[$0] == nil }.map {
            "\(path)/\($0) is missing"
        }
        for (name, value) in object {
            if let schema = properties[name] as? [String: Any] {
                flaws += self.flaws(of: value, by: schema, at: "\(path)/\(name)")
            } else if schema["additionalProperties"] as? Bool == false {
                flaws.append("\(path)/\(name) is not described")
            }
        }
        return flaws
    }
}
