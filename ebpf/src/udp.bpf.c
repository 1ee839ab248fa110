// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//
// Counts UDP datagrams that arrived and that nobody got: because the receive buffer of their socket was full, because
// the memory of all sockets was used up, or because no socket has their port.
//
// A flood ends up here, so the totals are kept one for each CPU. The sums by port are shared between CPUs, because the
// map has to give up old ports and would give them up by CPU otherwise.
//
// Reading kernel structures is open to programs under a licence compatible with the GPL only, so this is under either
// licence and says so to the kernel.

#include <linux/bpf.h>
#include <linux/errno.h>
#include <linux/if_ether.h>
#include <linux/in.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "kernel.h"
#include "namespace.h"
#include "udp.h"

// The loader puts the running kernel's number in the place of this one.
enum skb_drop_reason {
	SKB_DROP_REASON_NO_SOCKET = 3,
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LOSSES);
	__type(key, __u32);
	__type(value, __u64);
} totals SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, PORTS_MAX);
	__type(key, struct loss);
	__type(value, __u64);
} ports SEC(".maps");

// The total comes last, so that user space, which reads it first, finds in the map all that is in it.
static __always_inline void count(__u32 kind, __u16 port)
{
	__u64 *total = bpf_map_lookup_elem(&totals, &kind);
	struct loss loss = { .port = port, .kind = kind };
	__u64 *value, first = 1;

	value = bpf_map_lookup_elem(&ports, &loss);
	// Another CPU may be first with a new port; then this one is added to what it put there.
	if (!value && bpf_map_update_elem(&ports, &loss, &first, BPF_NOEXIST))
		value = bpf_map_lookup_elem(&ports, &loss);
	if (value)
		__sync_fetch_and_add(value, 1);
	if (total)
		*total += 1;
}

// Arguments: error, socket, and more. IPv6 has it from Linux 6.5 on.
SEC("tp_btf/udp_fail_queue_rcv_skb")
int udp_fail_queue_rcv_skb(__u64 *arguments)
{
	int error = arguments[0];
	struct sock *sock = (struct sock *)arguments[1];

	if (!socket_is_wanted(&sock->__sk_common))
		return 0;
	count(error == -ENOMEM ? LOSS_BUFFER : LOSS_MEMORY, sock->__sk_common.skc_num);
	return 0;
}

// IPv6 extension headers need no walk: where UDP has looked for a socket, the place of its header is known, and TCP,
// which may have, is told by the first next header in all but the rarest of packets.
static __always_inline int is_udp(struct sk_buff *skb)
{
	const unsigned char *ip = skb->head + skb->network_header;
	__u8 protocol = 0;

	switch (bpf_ntohs(skb->protocol)) {
	case ETH_P_IP:
		bpf_probe_read_kernel(&protocol, sizeof(protocol), ip + 9);
		return protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE;
	case ETH_P_IPV6:
		bpf_probe_read_kernel(&protocol, sizeof(protocol), ip + 6);
		return protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE;
	default:
		return 0;
	}
}

// Arguments: packet, place in the code, reason, and more.
SEC("tp_btf/kfree_skb")
int kfree_skb(__u64 *arguments)
{
	struct sk_buff *skb = (struct sk_buff *)arguments[0];
	__be16 port = 0;

	if ((__u32)arguments[2] != bpf_core_enum_value(enum skb_drop_reason, SKB_DROP_REASON_NO_SOCKET))
		return 0;
	if (!is_udp(skb) || !packet_is_wanted(skb))
		return 0;
	bpf_probe_read_kernel(&port, sizeof(port), skb->head + skb->transport_header + 2);
	count(LOSS_NO_PORT, bpf_ntohs(port));
	return 0;
}

char _license[] SEC("license") = "GPL";
