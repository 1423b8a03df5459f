package worker

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/trimtab-ml/trimtab/engine/predictor"
)

// The names of the rungs, as Status shows them.
const (
	rungGroup        = "process group"
	rungEnvironment  = "environment"
	rungNamespaces   = "namespaces"
	rungPrivileges   = "no new privileges"
	rungCapabilities = "capabilities"
	rungLimits       = "limits"
	rungMemory       = "memory"
	rungFiles        = "files"
	rungNetwork      = "network"
	rungCalls        = "system calls"
)

// writeTo writes to an inherited descriptor.
func writeTo(fd int, b []byte) (int, error) { return unix.Write(fd, b) }

// become replaces this process. The thread that calls it is the one whose rights were taken away: execve ends all others.
func become(argv []string) error {
	for fd := launchFD + 2; fd < 64; fd++ { // what the Go runtime opened
		unix.CloseOnExec(fd)
	}
	return syscall.Exec(argv[0], argv, os.Environ())
}

// confine takes every measure that this machine permits, on the calling thread, and tells which hold.
func (l *launch) confine() []predictor.Rung {
	runtime.LockOSThread()
	var rungs []predictor.Rung
	took := func(name string, err error) {
		r := predictor.Rung{Name: name, Holds: err == nil}
		if err != nil {
			r.Reason = err.Error()
		}
		rungs = append(rungs, r)
	}
	took(rungLimits, l.limits())
	if l.Memory > 0 {
		took(rungMemory, l.memory())
	}
	took(rungCapabilities, dropCapabilities())
	private := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	took(rungPrivileges, private)
	level, files, tcp := l.landlock()
	took(rungFiles, files)
	calls := l.filterCalls()
	if !l.Network {
		var network error
		switch {
		case l.Apart || calls == nil:
		case tcp == nil && level >= 4:
			network = errors.New("only TCP is closed, by Landlock")
		default:
			network = fmt.Errorf("no network namespace, no seccomp (%w), no Landlock of version 4", calls)
		}
		took(rungNetwork, network)
	}
	took(rungCalls, calls)
	return rungs
}

func limit(resource int, value uint64) error {
	var now unix.Rlimit
	if err := unix.Getrlimit(resource, &now); err != nil {
		return err
	}
	value = min(value, now.Max)
	return unix.Setrlimit(resource, &unix.Rlimit{Cur: value, Max: value})
}

// limits bounds what a worker may open and start. Processes are counted by user, over everything that the user runs unless the worker
// has a namespace of its own, so that those that run already are added.
func (l *launch) limits() error {
	if err := limit(unix.RLIMIT_CORE, 0); err != nil {
		return err
	}
	if err := limit(unix.RLIMIT_NOFILE, l.Files); err != nil {
		return err
	}
	processes := l.Processes
	if !l.Apart {
		processes += threadsOfUser()
	}
	if err := limit(unix.RLIMIT_NPROC, processes); err != nil {
		return err
	}
	if os.Getuid() == 0 && !l.Apart {
		return errors.New("the number of processes is not limited for root; the others hold")
	}
	return nil
}

// threadsOfUser counts the threads of all processes of this user.
func threadsOfUser() uint64 {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 4096
	}
	var n uint64
	for _, e := range entries {
		if e.Name()[0] < '0' || e.Name()[0] > '9' {
			continue
		}
		info, err := e.Info()
		if err != nil {
			continue
		}
		if s, ok := info.Sys().(*syscall.Stat_t); ok && int(s.Uid) == os.Getuid() {
			tasks, _ := os.ReadDir("/proc/" + e.Name() + "/task")
			n += uint64(len(tasks))
		}
	}
	return n
}

// addressRoom is the addresses that an interpreter and its libraries reserve without using them.
const addressRoom = 16 << 30

// memory bounds private memory at the ceiling, so that an allocation beyond it fails in the model, and addresses well above it.
func (l *launch) memory() error {
	if err := limit(unix.RLIMIT_DATA, uint64(l.Memory)); err != nil {
		return err
	}
	return limit(unix.RLIMIT_AS, uint64(l.Memory)+addressRoom)
}

// dropCapabilities gives up what root may do, for good.
func dropCapabilities() error {
	for c := 0; c <= unix.CAP_LAST_CAP; c++ {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.EPERM) {
			return err
		}
	}
	_ = unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) // empty unless somebody filled it
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	return unix.Capset(&header, &none[0])
}

const (
	fsRead  = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	fsFile  = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE
	fsFirst = 1<<13 - 1 // the rights of version 1
)

// landlock closes the file system but for what the worker needs, and TCP. It tells the version of the kernel's Landlock.
func (l *launch) landlock() (version int, files, tcp error) {
	v, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		err := errors.New("the kernel has no Landlock, or it is off")
		return 0, err, err
	}
	version = int(v)
	attr := unix.LandlockRulesetAttr{Handled_access_fs: fsFirst}
	if version >= 2 {
		attr.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_REFER
	}
	if version >= 3 {
		attr.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	if version >= 4 && !l.Network {
		attr.Handled_access_net = unix.LANDLOCK_ACCESS_NET_BIND_TCP | unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
	}
	if version >= 5 {
		attr.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	}
	if version >= 6 {
		attr.Scoped = unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | unix.LANDLOCK_SCOPE_SIGNAL
	}
	size := uintptr(24)
	switch { // as much as the kernel's version knows of
	case version < 4:
		size = 8
	case version < 6:
		size = 16
	}
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), size, 0)
	if errno != 0 {
		return version, errno, errno
	}
	defer unix.Close(int(fd))
	allow := func(path string, rights uint64) error {
		at, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		defer unix.Close(at)
		var stat unix.Stat_t
		if err := unix.Fstat(at, &stat); err != nil {
			return err
		}
		if stat.Mode&unix.S_IFMT != unix.S_IFDIR {
			rights &= fsFile
		}
		rule := unix.LandlockPathBeneathAttr{Allowed_access: rights & attr.Handled_access_fs, Parent_fd: int32(at)}
		_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, fd, unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
		if errno != 0 {
			return fmt.Errorf("%s: %w", path, errno)
		}
		return nil
	}
	read := append(slices.Clone(machineFiles), l.ReadOnly...)
	if l.Network {
		read = append(read, networkFiles...)
	}
	for _, path := range read {
		if err := allow(path, fsRead); err != nil {
			return version, err, err
		}
	}
	for _, path := range []string{"/dev/null", "/dev/zero", "/dev/full"} {
		if err := allow(path, fsRead|unix.LANDLOCK_ACCESS_FS_WRITE_FILE|unix.LANDLOCK_ACCESS_FS_TRUNCATE); err != nil {
			return version, err, err
		}
	}
	for _, path := range l.ReadWrite {
		if err := allow(path, attr.Handled_access_fs&^(unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK|unix.LANDLOCK_ACCESS_FS_MAKE_CHAR|unix.LANDLOCK_ACCESS_FS_IOCTL_DEV)); err != nil {
			return version, err, err
		}
	}
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0, 0); errno != 0 {
		return version, errno, errno
	}
	return version, nil, nil
}

// machineFiles is what programs read to learn about the machine they run on; none of it is a secret.
var machineFiles = []string{
	"/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime", "/etc/timezone", "/etc/mime.types",
	"/etc/os-release", "/etc/debian_version", "/etc/ssl/openssl.cnf", "/etc/ssl/certs", "/etc/R", "/etc/alternatives", "/etc/fonts", "/dev/urandom", "/dev/random", "/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/version",
	"/proc/filesystems", "/proc/loadavg", "/proc/uptime", "/proc/sys/vm", "/proc/sys/kernel/osrelease", "/proc/sys/kernel/cap_last_cap", "/sys/devices/system", "/sys/fs/cgroup", "/sys/kernel/mm/transparent_hugepage",
}

// networkFiles tell programs how to find others.
var networkFiles = []string{"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf", "/etc/services", "/etc/protocols", "/etc/pki", "/etc/ca-certificates", "/run/systemd/resolve"}

// deniedCalls are of no use to a model and have been the way out of many a sandbox.
var deniedCalls = []uint32{
	unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT, unix.SYS_UNSHARE, unix.SYS_SETNS,
	unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_KEYCTL, unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY, unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE,
	unix.SYS_KEXEC_LOAD, unix.SYS_USERFAULTFD, unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_IO_URING_SETUP, unix.SYS_REBOOT, unix.SYS_SWAPON, unix.SYS_SWAPOFF, unix.SYS_ACCT, unix.SYS_QUOTACTL,
	unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME, unix.SYS_MOVE_MOUNT, unix.SYS_FSOPEN, unix.SYS_OPEN_TREE,
}

// filterCalls installs a seccomp filter: the calls above fail, and sockets other than those between processes of this machine, which
// closes the network where there is no namespace for it.
func (l *launch) filterCalls() error {
	arch, foreign := uint32(unix.AUDIT_ARCH_X86_64), uint32(0x40000000) // the x32 calls of amd64
	switch runtime.GOARCH {
	case "amd64":
	case "arm64":
		arch, foreign = unix.AUDIT_ARCH_AARCH64, 0
	default:
		return fmt.Errorf("no filter is written for %s", runtime.GOARCH)
	}
	const (
		load  = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		over  = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
		give  = unix.BPF_RET | unix.BPF_K
		allow = unix.SECCOMP_RET_ALLOW
		deny  = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	)
	// struct seccomp_data: the number of the call at 0, the architecture at 4, the first argument at 16.
	program := []unix.SockFilter{
		{Code: load, K: 4}, {Code: equal, K: arch, Jt: 1}, {Code: give, K: deny},
		{Code: load, K: 0},
	}
	if foreign != 0 {
		program = append(program, unix.SockFilter{Code: over, K: foreign, Jf: 1}, unix.SockFilter{Code: give, K: deny})
	}
	for _, call := range deniedCalls {
		program = append(program, unix.SockFilter{Code: equal, K: call, Jf: 1}, unix.SockFilter{Code: give, K: deny})
	}
	if !l.Network {
		program = append(program, unix.SockFilter{Code: equal, K: unix.SYS_SOCKET, Jf: 3}, unix.SockFilter{Code: load, K: 16},
			unix.SockFilter{Code: equal, K: unix.AF_UNIX, Jt: 1}, unix.SockFilter{Code: give, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EACCES)})
	}
	program = append(program, unix.SockFilter{Code: give, K: allow})
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&filter)), 0, 0); err != nil {
		return fmt.Errorf("seccomp: %w", err)
	}
	return nil
}

// attributes put a worker in a group of its own that ends with the server, and in namespaces of its own where that is permitted.
func attributes(apart bool) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if apart {
		a.Cloneflags = unix.CLONE_NEWUSER | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWPID
		a.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getuid(), HostID: os.Getuid(), Size: 1}}
		a.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}}
	}
	return a
}

// selfPath is this program, also when its file was replaced meanwhile.
func selfPath() (string, error) { return "/proc/self/exe", nil }

// resident is the bytes of memory that a process holds; 0 when it has ended.
func resident(pid int) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	var size, pages int64
	if _, err := fmt.Sscan(strings.TrimSpace(string(b)), &size, &pages); err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
