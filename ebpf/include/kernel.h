/* SPDX-License-Identifier: Apache-2.0 */
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

#include <linux/types.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)


struct net_device {
	int ifindex;
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
};

struct sock {
	struct sock_common __sk_common;
	__u16 sk_protocol;
};

struct sk_buff {
	struct net_device *dev;
	unsigned int len;
	unsigned int data_len;
	__be16 protocol;
	__u16 transport_header;
	__u16 network_header;
	__u16 mac_header;
	unsigned char *head;
	unsigned char *data;
};

#pragma clang attribute pop

#endif
