/// The scripts of the wire protocol, embedded in the binary so that an installed tool needs no resource bundle.
package enum LockScripts {
    package static let acquire = source(PackageResources.acquire_lua)
    package static let confirm = source(PackageResources.confirm_lua)
    package static let extend = source(PackageResources.extend_lua)
    package static let release = source(PackageResources.release_lua)

    private static func source(_ bytes: [UInt8]) -> String {
        String(decoding: bytes, as: UTF8.self)
    }
}
