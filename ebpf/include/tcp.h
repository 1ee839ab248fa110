/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The layout that the program shares with user space; crates/probes/src/tcp/layout.rs mirrors it, and a test there
 * reads this file and compares every number.
 */
#ifndef SKEP_TCP_H
#define SKEP_TCP_H

#define RETRANSMIT_DATA 0
#define RETRANSMIT_SYN 1
#define RETRANSMIT_SYN_ACK 2
#define RETRANSMITS 3

/* Linux 6.18 numbers its reasons from 0 to 24; from the last place on they count together. */
#define RESET_REASONS 32
/* The kernel is older than its reasons. */
#define RESET_REASON_UNKNOWN 31

#define FAILED_OTHER 0
#define FAILED_REFUSED 1
#define FAILED_TIMEOUT 2
#define FAILED_UNREACHABLE 3
#define FAILED_ABORTED 4
#define FAILURES 5

#define SIDE_CLIENT 0
#define SIDE_SERVER 1
#define SIDES 2

#define RTT_BOUNDS 14
#define DURATION_BOUNDS 10

/* At 16 addresses with 128 ports each this is full; then the kernel gives up the peers not heard of for longest. */
#define PEERS_MAX 2048

struct totals {
	__u64 retransmits[RETRANSMITS];
	__u64 resets_sent[RESET_REASONS];
	__u64 resets_received;
	/* By side: opened, accepted. */
	__u64 established[SIDES];
	__u64 failed[SIDES][FAILURES];
	__u64 closed;
	/* Payload of closed connections. */
	__u64 sent_bytes;
	__u64 received_bytes;
	/* How many fell at or under each bound, but over the one before; the last is over all of them. */
	__u64 rtt[RTT_BOUNDS + 1];
	__u64 rtt_microseconds;
	__u64 duration[DURATION_BOUNDS + 1];
	__u64 duration_microseconds;
};

/* The other end of connections, and the port of the service that they are with. */
struct peer {
	/* IPv4 as IPv6 maps it. */
	__u8 address[16];
	__u16 port;
	__u8 side;
	__u8 zero;
};

struct peer_totals {
	__u64 retransmits;
	/* Sent and received. */
	__u64 resets;
	__u64 established;
	__u64 failed;
	__u64 sent_bytes;
	__u64 received_bytes;
	__u64 rtt_samples;
	__u64 rtt_microseconds;
};

#endif
