// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//
// Counts packets that the kernel drops by the reason it gives, and XDP programs whose verdict could not be carried
// out. A flood ends up here, so the sums are kept one set for each CPU: a drop costs no lock and no atomic instruction.
//
// Reading kernel structures is open to programs under a licence compatible with the GPL only, so this is under either
// licence and says so to the kernel.

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "drops.h"
#include "kernel.h"
#include "namespace.h"

// Its values differ from kernel to kernel; the first two are not drops, which has been so since there are reasons.
enum skb_drop_reason {
	SKB_CONSUMED = 1,
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, DROPS_MAX);
	__type(key, struct drop);
	__type(value, __u64);
} drops SEC(".maps");

// What found no place in `drops`, by kind.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, KINDS);
	__type(key, __u32);
	__type(value, __u64);
} overflow SEC(".maps");

static __always_inline void count(struct drop *drop)
{
	__u64 *value = bpf_map_lookup_elem(&drops, drop);
	__u64 first = 0;
	__u32 kind = drop->kind;

	if (!value) {
		// Another CPU may have been first; then its zero stays.
		bpf_map_update_elem(&drops, drop, &first, BPF_NOEXIST);
		value = bpf_map_lookup_elem(&drops, drop);
	}
	if (!value)
		value = bpf_map_lookup_elem(&overflow, &kind);
	if (value)
		*value += 1;
}

// Only numbers that are told apart, so that nobody fills the map by sending packets of every number there is.
static __always_inline __u8 known(__u8 protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
	case IPPROTO_SCTP:
	case IPPROTO_IGMP:
	case IPPROTO_GRE:
	case IPPROTO_ESP:
		return protocol;
	default:
		return 0;
	}
}

// The IP header may not be there yet, or no longer: then its place holds something else, mostly zeros, and the version
// tells. In IPv6 the protocol is the first next header, as a drop is no place to walk through extension headers.
static __always_inline void read_ip(struct sk_buff *skb, __u8 family, __u32 offset, struct drop *drop)
{
	__u8 ip[10] = {};

	bpf_probe_read_kernel(ip, sizeof(ip), skb->head + skb->network_header);
	if (ip[0] >> 4 == family)
		drop->protocol = known(ip[offset]);
}

static __always_inline void describe(struct sk_buff *skb, struct drop *drop)
{
	switch (bpf_ntohs(skb->protocol)) {
	case ETH_P_IP:
		drop->family = FAMILY_IPV4;
		read_ip(skb, FAMILY_IPV4, 9, drop);
		break;
	case ETH_P_IPV6:
		drop->family = FAMILY_IPV6;
		read_ip(skb, FAMILY_IPV6, 6, drop);
		break;
	case ETH_P_ARP:
		drop->family = FAMILY_ARP;
		break;
	}
}

// Arguments: packet, place in the code, reason, and more. The reason came in Linux 5.17. On older kernels the branch is never reached, so the verifier
// does not look at it.
SEC("tp_btf/kfree_skb")
int kfree_skb(__u64 *arguments)
{
	struct sk_buff *packet = (struct sk_buff *)arguments[0];
	struct drop drop = { .kind = KIND_PACKET, .code = CODE_UNKNOWN };

	if (bpf_core_type_exists(enum skb_drop_reason)) {
		drop.code = arguments[2];
		if (drop.code <= SKB_CONSUMED)
			return 0;
	}
	if (!packet_is_wanted(packet))
		return 0;
	describe(packet, &drop);
	count(&drop);
	return 0;
}

// Arguments: device, program, verdict.
SEC("tp_btf/xdp_exception")
int xdp_exception(__u64 *arguments)
{
	const struct net_device *device = (const struct net_device *)arguments[0];
	__u32 verdict = arguments[2];
	struct drop drop = { .kind = KIND_XDP_EXCEPTION, .code = verdict };

	if (!is_wanted(device->nd_net.net))
		return 0;
	// A program may return any number; those that are no verdict count as the first that is none.
	if (verdict > XDP_REDIRECT)
		drop.code = XDP_REDIRECT + 1;
	count(&drop);
	return 0;
}

// Arguments: device, program, target, error, and more.
SEC("tp_btf/xdp_redirect_err")
int xdp_redirect_err(__u64 *arguments)
{
	const struct net_device *device = (const struct net_device *)arguments[0];
	int error = arguments[3];
	struct drop drop = { .kind = KIND_XDP_REDIRECT, .code = error < 0 ? -error : error };

	if (!is_wanted(device->nd_net.net))
		return 0;
	count(&drop);
	return 0;
}

char _license[] SEC("license") = "GPL";
