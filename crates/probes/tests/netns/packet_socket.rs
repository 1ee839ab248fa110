//! Raw sockets: whole frames onto a device, and bare packets through a tunnel device.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

/// A socket that sends frames as they are.
pub(crate) struct PacketSocket(OwnedFd);

impl PacketSocket {
    /// One whose frames go straight to the device.
    pub(crate) fn open(device: &str) -> io::Result<Self> {
        let socket = Self::queued(device)?;
        socket.bypass_queue()?;
        Ok(socket)
    }

    /// One whose frames take the way of all others, past the hook of traffic control.
    pub(crate) fn queued(device: &str) -> io::Result<Self> {
        let name = CString::new(device)?;
        // SAFETY: the call takes three numbers.
        let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel just made this descriptor and nobody else knows of it.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: `name` is a live string that ends with a zero.
        let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
        // SAFETY: all bytes zero is a valid address structure.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_ifindex = index.cast_signed();
        // SAFETY: the address is live and its size is given with it.
        let result = unsafe {
            libc::bind(socket.as_raw_fd(), (&raw const address).cast(), size_of::<libc::sockaddr_ll>() as u32)
        };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self(socket))
    }

    /// A device that just got its carrier has no send queue for up to a second and drops what is queued, silently.
    fn bypass_queue(&self) -> io::Result<()> {
        let on: libc::c_int = 1;
        // SAFETY: the option's value is live and its size is given with it.
        let result = unsafe {
            libc::setsockopt(
                self.0.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_QDISC_BYPASS,
                (&raw const on).cast(),
                size_of::<libc::c_int>() as u32,
            )
        };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    pub(crate) fn send(&self, frame: &[u8]) -> io::Result<()> {
        // SAFETY: the frame is live and its length is given with it.
        let sent = unsafe { libc::send(self.0.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
        match usize::try_from(sent) {
            Ok(sent) if sent == frame.len() => Ok(()),
            Ok(_) => Err(io::Error::from(io::ErrorKind::WriteZero)),
            Err(_) => Err(io::Error::last_os_error()),
        }
    }
}

/// Makes a tunnel device that lives as long as the file; each write is a packet that arrives on it.
pub(crate) fn tunnel(device: &str) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).open("/dev/net/tun")?;
    // SAFETY: all bytes zero is a valid request.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(device.bytes()) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as i16;
    // SAFETY: the request is live and of the type that this number takes.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(file) }
}
