package demo

import (
	"net"
	"syscall"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// ownGroup keeps an interrupt from the terminal away from the server, so that the demo stops it in order.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// freeAddress is want if it can be listened on, else a free port of the same host.
func freeAddress(want string) (string, error) {
	l, err := net.Listen("tcp", want)
	if err != nil {
		host, _, serr := net.SplitHostPort(want)
		if serr != nil {
			return "", fault.Wrap(serr, fault.Invalid, "%q is not HOST:PORT", want)
		}
		if l, err = net.Listen("tcp", net.JoinHostPort(host, "0")); err != nil {
			return "", fault.Wrap(err, fault.Unavailable, "no port of %s can be listened on", host)
		}
	}
	address := l.Addr().String()
	return address, l.Close()
}
