/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The layout that the program shares with user space; crates/probes/src/udp/layout.rs mirrors it, and a test there
 * reads this file and compares every number.
 */
#ifndef SKEP_UDP_H
#define SKEP_UDP_H

/* The receive buffer of the socket is full. */
#define LOSS_BUFFER 0
/* The memory that all sockets share is used up. */
#define LOSS_MEMORY 1
/* No socket has the port. */
#define LOSS_NO_PORT 2
#define LOSSES 3

/*
 * Who scans all ports would fill any map of a sensible size; the kernel gives up the ports not heard of for longest.
 */
#define PORTS_MAX 1024

struct loss {
	__u16 port;
	__u8 kind;
	__u8 zero;
};

#endif
