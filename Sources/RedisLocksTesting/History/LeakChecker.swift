/// What is left over when everybody has released or lost everything, the longest ttl has passed, and clients are shut down.
package struct LeakChecker: Sendable {
    /// Lock keys that still exist. Fencing counters and the boot record stay, and do not belong here.
    package var remainingLockKeys: [String]
    package var connectionsBefore: Int
    package var connectionsAfter: Int
    package var tasksBefore: Int
    package var tasksAfter: Int

    package init(
        remainingLockKeys: [String] = [], connectionsBefore: Int = 0, connectionsAfter: Int = 0, tasksBefore: Int = 0,
        tasksAfter: Int = 0
    ) {
        self.remainingLockKeys = remainingLockKeys
        self.connectionsBefore = connectionsBefore
        self.connectionsAfter = connectionsAfter
        self.tasksBefore = tasksBefore
        self.tasksAfter = tasksAfter
    }

    package func check() -> [Violation] {
        var violations = remainingLockKeys.sorted().map {
            Violation(.leakedKey, "The lock key “\($0)” is still there.")
        }
        if connectionsAfter > connectionsBefore {
            violations.append(
                Violation(
                    .leakedConnections, "There were \(connectionsBefore) connections, and are \(connectionsAfter) now.")
            )
        }
        if tasksAfter > tasksBefore {
            violations.append(Violation(.leakedTasks, "There were \(tasksBefore) tasks, and are \(tasksAfter) now."))
        }
        return violations
    }
}
