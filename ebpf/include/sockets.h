/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The members of kernel structures that the probes of sockets and packets read. Only names count: the loader puts
 * the running kernel's offsets in place of those that the compiler sees here, and refuses a member that is gone.
 */
#ifndef SKEP_SOCKETS_H
#define SKEP_SOCKETS_H

#include <linux/in6.h>
#include <linux/types.h>

#define AF_INET 2
#define AF_INET6 10

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct sk_buff {
	__be16 protocol;
	__u16 transport_header;
	__u16 network_header;
	unsigned char *head;
	char cb[48];
};

/* What TCP keeps in `cb` of a packet that it sends. */
struct tcp_skb_cb {
	__u16 tcp_gso_segs;
};

struct sock_common {
	__be32 skc_daddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	struct in6_addr skc_v6_daddr;
};

struct sock {
	struct sock_common __sk_common;
	__u16 sk_protocol;
	int sk_err;
	unsigned long sk_flags;
};

struct request_sock {
	struct sock_common __req_common;
};

struct inet_connection_sock {
	struct {
		__u32 lrcvtime;
	} icsk_ack;
};

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u64 bytes_received;
	__u64 bytes_sent;
	__u64 bytes_retrans;
	__u32 rcv_tstamp;
	__u32 srtt_us;
};

#pragma clang attribute pop

#endif
