// SPDX-License-Identifier: Apache-2.0
//
// Counts the packets and bytes that reach a device, by IP family and transport protocol. It only looks: every
// packet is passed on. The sums stay in the kernel, one set for each CPU, so that no packet costs an event, a lock
// or an atomic instruction; user space reads them once an interval.
//
// Loading it takes CAP_BPF, CAP_NET_ADMIN and, for packet pointers that move by what a header says, CAP_PERFMON.
//
// Every helper used here (map lookup, buffer length) is open to programs of any licence, so the licence string says
// what the file is under and no GPL is claimed. A helper restricted to GPL programs would be refused at load.

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "xdp_counters.h"

// What follows is the layout of headers that no UAPI header exports.

struct vlan_tag {
	__be16 control;
	__be16 protocol;
};

// The first eight bytes of every IPv6 extension header; `length` means eight-byte units beyond the first eight,
// except in an authentication header (four-byte units beyond the first eight) and a fragment header (none).
struct extension {
	__u8 next;
	__u8 length;
	__be16 fragment;
	__be32 rest;
};

#define FRAGMENT_OFFSET_MASK 0xfff8

// Next-header numbers that <linux/in.h> lacks.
#define NEXT_HOST_IDENTITY 139
#define NEXT_SHIM6 140

// A frame carries at most two tags: 802.1ad outside, 802.1Q inside.
#define VLAN_TAGS_MAX 2

// Real packets carry one or two extension headers. A longer chain counts as `other`, so that the verifier sees a
// bounded walk and nobody buys CPU time with a crafted packet.
#define EXTENSIONS_MAX 8

// 255 units of eight bytes and all smaller lengths.
#define EXTENSION_LENGTH_MASK 0x7ff

// What a protocol or next-header number means: the protocol it counts under and, for an extension header, the size
// of its length unit as a power of two. A table and not a `switch`, because the verifier follows every branch of
// every round of the walk, and eight rounds of a `switch` are more than it is willing to follow.
struct number {
	__u8 protocol;
	__u8 unit_bits;
};

static const struct number numbers[256] = {
	[IPPROTO_TCP] = { .protocol = PROTOCOL_TCP },
	[IPPROTO_UDP] = { .protocol = PROTOCOL_UDP },
	[IPPROTO_ICMP] = { .protocol = PROTOCOL_ICMP },
	[IPPROTO_ICMPV6] = { .protocol = PROTOCOL_ICMPV6 },
	[IPPROTO_SCTP] = { .protocol = PROTOCOL_SCTP },
	[IPPROTO_IGMP] = { .protocol = PROTOCOL_IGMP },
	[IPPROTO_GRE] = { .protocol = PROTOCOL_GRE },
	[IPPROTO_ESP] = { .protocol = PROTOCOL_ESP },
	[IPPROTO_HOPOPTS] = { .unit_bits = 3 },
	[IPPROTO_ROUTING] = { .unit_bits = 3 },
	[IPPROTO_DSTOPTS] = { .unit_bits = 3 },
	[IPPROTO_MH] = { .unit_bits = 3 },
	[NEXT_HOST_IDENTITY] = { .unit_bits = 3 },
	[NEXT_SHIM6] = { .unit_bits = 3 },
	[IPPROTO_AH] = { .unit_bits = 2 },
	[IPPROTO_FRAGMENT] = { .unit_bits = 3 },
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, DEVICES_MAX);
	__type(key, __u32);
	__type(value, struct device);
} devices SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, DEVICES_MAX * COUNTERS_PER_DEVICE);
	__type(key, __u32);
	__type(value, struct counter);
} counters SEC(".maps");

struct packet {
	void *cursor;
	void *end;
};

// Moves over a header, if all of it lies before the end. The header is then read at the old cursor.
static __always_inline int skip(struct packet *packet, __u32 length)
{
	if (packet->cursor + length > packet->end)
		return 0;
	packet->cursor += length;
	return 1;
}

static __always_inline __u32 protocol_of(__u8 number)
{
	return numbers[number].protocol;
}

// The verifier does not follow a shift by a variable and the compiler drops a mask that it knows to change nothing;
// the barrier hides the value's origin from the compiler, so that the verifier gets to see the bound.
static __always_inline __u32 units_length(__u8 units, __u8 unit_bits)
{
	__u32 length = units << (unit_bits & 3);

	barrier_var(length);
	return length & EXTENSION_LENGTH_MASK;
}

// The fragment header names the protocol of the whole datagram, so a later fragment counts under it; what stands
// behind that header in a later fragment is payload and must not be read as a header.
static __always_inline __u32 ipv6_protocol(struct packet *packet)
{
	struct ipv6hdr *ip = packet->cursor;
	__u8 next;

	if (!skip(packet, sizeof(*ip)))
		return PROTOCOL_OTHER;
	next = ip->nexthdr;
#pragma clang loop unroll(disable)
	for (int i = 0; i < EXTENSIONS_MAX && numbers[next].unit_bits; i++) {
		struct extension *header = packet->cursor;

		if (!skip(packet, sizeof(*header)))
			return PROTOCOL_OTHER;
		if (next == IPPROTO_FRAGMENT) {
			if (header->fragment & bpf_htons(FRAGMENT_OFFSET_MASK))
				return protocol_of(header->next);
		} else {
			packet->cursor += units_length(header->length, numbers[next].unit_bits);
		}
		next = header->next;
	}
	return protocol_of(next);
}

static __always_inline __u32 ipv4_protocol(struct packet *packet)
{
	struct iphdr *ip = packet->cursor;

	return skip(packet, sizeof(*ip)) ? protocol_of(ip->protocol) : PROTOCOL_OTHER;
}

static __always_inline int is_vlan(__be16 protocol)
{
	return protocol == bpf_htons(ETH_P_8021Q) || protocol == bpf_htons(ETH_P_8021AD);
}

// The protocol behind the Ethernet header and its tags; 0 where the frame ends before.
static __always_inline __be16 ethernet_protocol(struct packet *packet)
{
	struct ethhdr *ethernet = packet->cursor;
	__be16 protocol;

	if (!skip(packet, sizeof(*ethernet)))
		return 0;
	protocol = ethernet->h_proto;
#pragma clang loop unroll(disable)
	for (int i = 0; i < VLAN_TAGS_MAX; i++) {
		struct vlan_tag *tag = packet->cursor;

		if (!is_vlan(protocol))
			break;
		if (!skip(packet, sizeof(*tag)))
			return 0;
		protocol = tag->protocol;
	}
	return protocol;
}

// Without a frame header only the version in the first four bits tells what the packet is.
static __always_inline __be16 bare_protocol(struct packet *packet)
{
	__u8 *first = packet->cursor;

	if ((void *)(first + 1) > packet->end)
		return 0;
	switch (*first >> 4) {
	case 4:
		return bpf_htons(ETH_P_IP);
	case 6:
		return bpf_htons(ETH_P_IPV6);
	default:
		return 0;
	}
}

static __always_inline __u32 counter_of(struct packet *packet, __u32 header)
{
	__be16 protocol = 0;

	if (header == HEADER_ETHERNET)
		protocol = ethernet_protocol(packet);
	else if (header == HEADER_NONE)
		protocol = bare_protocol(packet);

	switch (bpf_ntohs(protocol)) {
	case ETH_P_IP:
		return FAMILY_IPV4 * PROTOCOLS + ipv4_protocol(packet);
	case ETH_P_IPV6:
		return FAMILY_IPV6 * PROTOCOLS + ipv6_protocol(packet);
	case ETH_P_ARP:
		return FAMILY_ARP * PROTOCOLS + PROTOCOL_OTHER;
	default:
		return FAMILY_OTHER * PROTOCOLS + PROTOCOL_OTHER;
	}
}

static __always_inline int count(struct xdp_md *context, __u64 length)
{
	struct packet packet = {
		.cursor = (void *)(long)context->data,
		.end = (void *)(long)context->data_end,
	};
	__u32 index = context->ingress_ifindex;
	struct device *device = bpf_map_lookup_elem(&devices, &index);
	struct counter *counter;

	if (!device)
		return XDP_PASS;
	index = device->slot * COUNTERS_PER_DEVICE + counter_of(&packet, device->header);
	counter = bpf_map_lookup_elem(&counters, &index);
	if (!counter)
		return XDP_PASS;
	counter->packets++;
	counter->bytes += length;
	return XDP_PASS;
}

// For kernels from 5.18 on: takes packets in several buffers, and counts all of them.
SEC("xdp.frags")
int xdp_counters_frags(struct xdp_md *context)
{
	return count(context, bpf_xdp_get_buff_len(context));
}

// For older kernels: they hand over packets in one buffer only.
SEC("xdp")
int xdp_counters(struct xdp_md *context)
{
	return count(context, context->data_end - context->data);
}

char _license[] SEC("license") = "Apache-2.0";
