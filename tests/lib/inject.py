"""Makes a running process call the kernel: what a process may do is tried inside of it, as whoever took it over would.

    with Inside(pid) as p:
        p.call("openat", -100, "/etc/passwd", 0)     errno's name ("EACCES"), "ok", or "killed"

x86-64 only; needs to be root. The process waits in a system call when it is stopped; that call goes on afterwards.
"""
import ctypes
import errno
import os
import platform
import signal
import struct

AVAILABLE = platform.machine() == "x86_64" and os.geteuid() == 0
NUMBERS = {
    "open": 2, "socket": 41, "connect": 42, "fork": 57, "execve": 59, "kill": 62, "rename": 82, "mkdir": 83, "unlink": 87, "ptrace": 101,
    "mount": 165, "openat": 257, "io_uring_setup": 425,
}  # fmt: skip
ATTACH, GETREGS, SETREGS, STEP, DETACH = 16, 12, 13, 9, 17
WALL = 0x40000000
# of struct user_regs_struct, as 64-bit words
RAX, RIP, ORIG_RAX, RSP = 10, 16, 15, 19
ARGUMENTS = (14, 13, 12, 7, 9, 8)  # rdi rsi rdx r10 r8 r9
WORDS = 27

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
libc.ptrace.restype = ctypes.c_long


def ptrace(what, pid, data=None):
    if libc.ptrace(what, pid, None, data) < 0:
        raise OSError(ctypes.get_errno(), "ptrace %d of process %d: %s" % (what, pid, os.strerror(ctypes.get_errno())))


class Inside:
    def __init__(self, pid):
        self.pid, self.alive = pid, True

    def __enter__(self):
        ptrace(ATTACH, self.pid)
        os.waitpid(self.pid, WALL)
        self.before = self._registers()
        return self

    def __exit__(self, *_):
        if self.alive:
            self._set(self.before)
            ptrace(DETACH, self.pid)

    def _registers(self):
        words = (ctypes.c_uint64 * WORDS)()
        ptrace(GETREGS, self.pid, ctypes.byref(words))
        return list(words)

    def _set(self, values):
        ptrace(SETREGS, self.pid, ctypes.byref((ctypes.c_uint64 * WORDS)(*values)))

    def _place(self, arguments):
        """Puts what is not a number below the stack, where nobody looks: (what to pass for each)."""
        at, passed = self.before[RSP] - 8192, []
        with open("/proc/%d/mem" % self.pid, "r+b", 0) as memory:
            for a in arguments:
                if isinstance(a, int):
                    passed.append(a & (1 << 64) - 1)
                    continue
                data = a if isinstance(a, bytes) else a.encode() + b"\0"
                memory.seek(at)
                memory.write(data)
                passed.append(at)
                at += (len(data) + 15) & ~15
        return passed

    def call(self, name, *arguments):
        registers = list(self.before)
        with open("/proc/%d/mem" % self.pid, "rb", 0) as memory:
            memory.seek(registers[RIP] - 2)
            assert memory.read(2) == b"\x0f\x05", "the process does not wait in a system call"
        for place, value in zip(ARGUMENTS, self._place(arguments)):
            registers[place] = value
        registers[RAX], registers[ORIG_RAX], registers[RIP] = NUMBERS[name], (1 << 64) - 1, registers[RIP] - 2
        self._set(registers)
        ptrace(STEP, self.pid)
        return self._outcome()

    def _outcome(self):
        status = os.waitpid(self.pid, WALL)[1]
        if os.WIFSIGNALED(status):
            self.alive = False
            return "killed" if os.WTERMSIG(status) == signal.SIGSYS else "signal %d" % os.WTERMSIG(status)
        if os.WSTOPSIG(status) != signal.SIGTRAP:
            return "stopped by %d" % os.WSTOPSIG(status)
        result = struct.unpack("q", struct.pack("Q", self._registers()[RAX]))[0]
        return errno.errorcode.get(-result, str(result)) if result < 0 else "ok"
