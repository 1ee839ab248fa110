/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Structures of the kernel that programs look into: only the fields that some program reads. The offsets that the
 * compiler gives them here mean nothing; every access leaves a CO-RE relocation, and the loader puts in the offset of
 * the running kernel by its BTF. A field or structure that the running kernel lacks makes the load fail, unless the
 * program asks by `bpf_core_field_exists()` first.
 *
 * Where a field was renamed or moved between kernels, the older shape stands beside it under a name that ends in
 * `___` and a word, which the loader cuts off.
 *
 * Extend it by the fields you need, in the order of the kernel's structure, and by nothing else.
 */
#ifndef SKEP_KERNEL_H
#define SKEP_KERNEL_H

#include <linux/in6.h>
#include <linux/types.h>

#define AF_INET6 10

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* A network namespace; its number is the inode of `/proc/PID/ns/net`. */
struct net {
	struct {
		unsigned int inum;
	} ns;
};

struct net_device {
	int ifindex;
	struct {
		struct net *net;
	} nd_net;
};

/* A socket, up to the part that all families share. */
struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	/* In the byte order of the machine, unlike the remote port. */
	__u16 skc_num;
	unsigned short skc_family;
	unsigned char skc_state;
	struct {
		struct net *net;
	} skc_net;
	struct in6_addr skc_v6_daddr;
	unsigned long skc_flags;
};

struct sock {
	struct sock_common __sk_common;
	__u16 sk_protocol;
	int sk_err;
};

struct request_sock {
	struct sock_common __req_common;
};

struct inet_sock {
	__be16 inet_sport;
};

struct inet_connection_sock {
	struct inet_sock icsk_inet;
	struct {
		/* Ticks at which the last data came. */
		__u32 lrcvtime;
	} icsk_ack;
};

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u64 bytes_received;
	__u64 bytes_sent;
	__u64 bytes_retrans;
	/* Eighths of microseconds. */
	__u32 srtt_us;
	/* Ticks at which the last acknowledgement came. */
	__u32 rcv_tstamp;
};

struct sk_buff {
	struct net_device *dev;
	struct sock *sk;
	char cb[48];
	unsigned int len;
	unsigned int data_len;
	__be16 protocol;
	__u16 transport_header;
	__u16 network_header;
	__u16 mac_header;
	unsigned char *head;
	unsigned char *data;
};

/* What TCP keeps in `cb` of a packet that it sends. */
struct tcp_skb_cb {
	__u16 tcp_gso_segs;
};

#pragma clang attribute pop

#endif
