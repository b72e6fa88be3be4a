import Hiredis

/// One client's connection and the one to the server that goes with it. Belongs to the lock of ``FaultProxyState``.
final class FaultProxyLink {
    /// A request or a reply on its way.
    private struct Item {
        var bytes: [UInt8]
        let request: FaultProxy.Request?
        var isHeld = false
        var notBefore: ContinuousClock.Instant?
    }

    /// One direction: what has come, and what is to go.
    private struct Lane {
        var unread: ArraySlice<UInt8> = []
        var queue: [Item] = []
        var unsent: ArraySlice<UInt8> = []
        /// Everything that comes from now on is thrown away.
        var isLost = false
        var isAtEnd = false

        var isIdle: Bool { queue.isEmpty && unsent.isEmpty }
    }

    private struct Expected {
        let request: FaultProxy.Request
        let isSwallowed: Bool
        var answer = PostgreSQLFrames.Answer.untilReady
    }

    let index: Int
    /// -1 when closed.
    private(set) var client: CInt
    private(set) var server: CInt
    private var lanes = [Lane(), Lane()]
    private var expected: [Expected] = []
    private var name = ""
    private var scripts: [String] = []
    /// For PostgreSQL; `nil` for Redis.
    private var frames: PostgreSQLFrames?

    init(index: Int, client: CInt, server: CInt, language: FaultProxy.Language) {
        self.index = index
        frames = language == .postgreSQL ? PostgreSQLFrames() : nil
        self.client = client
        self.server = server
        for socket in [client, server] {
            _ = fcntl(socket, F_SETFL, fcntl(socket, F_GETFL) | O_NONBLOCK)
            var on: CInt = 1
            setsockopt(socket, CInt(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<CInt>.size))
        }
    }

    var isOver: Bool { server < 0 }

    func held(_ direction: FaultProxy.Direction) -> [FaultProxy.Request] {
        lanes[direction.rawValue].queue.filter(\.isHeld).compactMap(\.request)
    }

    /// What `poll` is to look for.
    var entries: [pollfd] {
        func entry(_ socket: CInt, reads: FaultProxy.Direction, writes: FaultProxy.Direction) -> pollfd? {
            // One that is at its end would be told to us again and again.
            guard socket >= 0, !lanes[reads.rawValue].isAtEnd || !lanes[writes.rawValue].unsent.isEmpty else {
                return nil
            }
            let wanted =
                (lanes[reads.rawValue].isAtEnd ? 0 : POLLIN) | (lanes[writes.rawValue].unsent.isEmpty ? 0 : POLLOUT)
            return pollfd(fd: socket, events: Int16(wanted), revents: 0)
        }
        return [
            entry(client, reads: .requests, writes: .replies), entry(server, reads: .replies, writes: .requests),
        ].compactMap(\.self)
    }

    /// When something that is delayed is due.
    var nextDue: ContinuousClock.Instant? {
        lanes.compactMap { lane in lane.queue.first.flatMap { $0.isHeld ? nil : $0.notBefore } }.min()
    }

    // MARK: Steps of the loop

    func read(from socket: CInt, in state: inout FaultProxyState) {
        let direction: FaultProxy.Direction = socket == client ? .requests : .replies
        var buffer = [UInt8](repeating: 0, count: 65536)
        let count = recv(socket, &buffer, buffer.count, 0)
        if count < 0 && (errno == EAGAIN || errno == EINTR) { return }
        guard count > 0 else {
            lanes[direction.rawValue].isAtEnd = true
            if direction == .requests { clientLeft() }
            return
        }
        lanes[direction.rawValue].unread += buffer[..<count]
        do {
            while server >= 0, try takeFrame(direction, in: &state) {}
        } catch {
            end(reset: true)
        }
    }

    /// Sends what may go. In slices, one for each turn of the loop.
    func flush(_ state: FaultProxyState) {
        flush(.requests, to: server, slice: state.slices[FaultProxy.Direction.requests.rawValue])
        flush(.replies, to: client, slice: state.slices[FaultProxy.Direction.replies.rawValue])
        // What the server said last is passed on; then the connection ends as its own did.
        if lanes[1].isAtEnd && (client < 0 || lanes[1].isIdle) { end(reset: false) }
        // What a client has asked for before it left is heard to the end.
        if client < 0 && lanes[0].isIdle && expected.isEmpty { end(reset: false) }
    }

    private func flush(_ direction: FaultProxy.Direction, to socket: CInt, slice: Int?) {
        let lane = direction.rawValue
        while let first = lanes[lane].queue.first, !first.isHeld, first.notBefore.map({ $0 <= .now }) ?? true {
            lanes[lane].unsent += first.bytes
            lanes[lane].queue.removeFirst()
        }
        guard socket >= 0 else {
            lanes[lane].unsent = []
            return
        }
        while !lanes[lane].unsent.isEmpty {
            let part = lanes[lane].unsent.prefix(slice ?? .max)
            let count = POSIX.trySend(part, to: socket)
            if count < 0 && errno == EINTR { continue }
            if count < 0 && errno != EAGAIN { return end(reset: true) }
            guard count > 0 else { return }
            lanes[lane].unsent = lanes[lane].unsent.dropFirst(count)
            if slice != nil { return }
        }
    }

    // MARK: Frames

    private func takeFrame(_ direction: FaultProxy.Direction, in state: inout FaultProxyState) throws -> Bool {
        direction == .requests ? try takeRequest(in: &state) : try takeReply(in: &state)
    }

    private func takeRequest(in state: inout FaultProxyState) throws -> Bool {
        let lane = FaultProxy.Direction.requests.rawValue
        let unread = lanes[lane].unread
        let (arguments, length, answer): ([String], Int, PostgreSQLFrames.Answer)
        if frames != nil {
            guard let frame = try frames?.request(unread) else { return false }
            (arguments, length, answer) = (frame.arguments, frame.length, frame.answer)
        } else {
            guard let frame = try RESPFrame.request(unread) else { return false }
            (arguments, length, answer) = (frame.arguments, frame.length, .untilReady)
        }
        lanes[lane].unread = unread.dropFirst(length)
        let request = note(arguments, in: &state)
        let item = Item(bytes: Array(unread.prefix(length)), request: request)
        apply(state.rules[lane](request), to: item, in: .requests, answer)
        return true
    }

    private func takeReply(in state: inout FaultProxyState) throws -> Bool {
        let lane = FaultProxy.Direction.replies.rawValue
        let unread = lanes[lane].unread
        let length =
            try frames == nil
            ? RESPFrame.replyLength(unread)
            : PostgreSQLFrames.replyLength(unread, as: expected.first?.answer ?? .untilReady)
        guard let length else { return false }
        let bytes = Array(unread.prefix(length))
        lanes[lane].unread = unread.dropFirst(length)
        guard !expected.isEmpty else {
            lanes[lane].queue.append(Item(bytes: bytes, request: nil))
            return true
        }
        let answered = expected.removeFirst()
        guard !answered.isSwallowed else { return true }
        state.seen.replies.append(answered.request)
        apply(state.rules[lane](answered.request), to: Item(bytes: bytes, request: answered.request), in: .replies)
        return true
    }

    private func note(_ arguments: [String], in state: inout FaultProxyState) -> FaultProxy.Request {
        if arguments.count == 3, arguments[0] == "CLIENT", arguments[1] == "SETNAME" { name = arguments[2] }
        if arguments.count == 3, arguments[0] == "SCRIPT", arguments[1] == "LOAD" { scripts.append(arguments[2]) }
        var script: FaultProxy.Script?
        if arguments.count > 2, arguments[0] == "EVALSHA" || arguments[0] == "EVAL" {
            let isBySource = arguments[0] == "EVAL"
            script = scripts.firstIndex { (isBySource ? $0 : RedisScript(source: $0).sha1) == arguments[1] }
                .flatMap(FaultProxy.Script.init(rawValue:))
        }
        let request = FaultProxy.Request(
            number: state.seen.requests.count + 1, connection: index, client: name, arguments: arguments,
            script: script,
            at: .now)
        state.seen.requests.append(request)
        return request
    }

    private func apply(
        _ verdict: FaultProxy.Verdict, to item: Item, in direction: FaultProxy.Direction,
        _ answer: PostgreSQLFrames.Answer = .none
    ) {
        // What is lost is read and counted all the same.
        guard !lanes[direction.rawValue].isLost else { return }
        var item = item
        switch verdict {
        case .pass: break
        case .hold: item.isHeld = true
        case .delay(let delay): item.notBefore = .now + delay
        case .duplicate: item.bytes += direction == .requests ? item.bytes : []
        case .drop:
            lanes[direction.rawValue].isLost = true
            return
        case .cut: return end(reset: false)
        case .reset: return end(reset: true)
        }
        lanes[direction.rawValue].queue.append(item)
        guard direction == .requests, answer != .none, let request = item.request else { return }
        expected.append(Expected(request: request, isSwallowed: false, answer: answer))
        if case .duplicate = verdict {
            expected.append(Expected(request: request, isSwallowed: true, answer: answer))
        }
    }

    func release(_ direction: FaultProxy.Direction, where condition: (FaultProxy.Request) -> Bool) {
        for index in lanes[direction.rawValue].queue.indices {
            guard let request = lanes[direction.rawValue].queue[index].request, condition(request) else { continue }
            lanes[direction.rawValue].queue[index].isHeld = false
        }
    }

    // MARK: End

    /// What it has sent still goes to the server; nobody hears the answers.
    func clientLeft() {
        guard client >= 0 else { return }
        close(client)
        client = -1
        lanes[FaultProxy.Direction.replies.rawValue].queue = []
    }

    func end(reset: Bool) {
        for socket in [client, server] where socket >= 0 {
            if reset {
                var option = linger(l_onoff: 1, l_linger: 0)
                setsockopt(socket, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
            }
            close(socket)
        }
        client = -1
        server = -1
    }
}
