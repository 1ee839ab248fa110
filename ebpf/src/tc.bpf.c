// SPDX-License-Identifier: Apache-2.0
//
// Counts the packets and bytes that leave a device, and on request those that arrive, by IP family and transport
// protocol, at the hook of traffic control. It only looks: every packet goes on to the next program.
//
// A packet is what the stack hands over: a large one that the device cuts later counts once, with the bytes that it has
// here, and a VLAN tag that the device adds is not seen.
//
// Loading it takes CAP_BPF, CAP_NET_ADMIN and, for packet pointers that move by what a header says, CAP_PERFMON. Every
// helper used here is open to programs of any licence.

#include "devices.h"
#include "tc.h"

// The same number at the newer hook (TCX_NEXT) and at the older one (TC_ACT_UNSPEC): the next program decides.
#define GO_ON -1

// What has to be readable to tell the protocol in nearly all packets. The stack's own packets begin with all of their
// headers, and have their payload in pages; moving more than this would cost most of them a copy.
static __always_inline __u32 headers_bytes(struct __sk_buff *context)
{
	__u32 ip = context->protocol == bpf_htons(ETH_P_IPV6) ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);

	return sizeof(struct ethhdr) + ip;
}

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, DEVICES_MAX * DIRECTIONS);
	__type(key, __u32);
	__type(value, struct stats);
} stats SEC(".maps");

// The length was known from the start.
static __always_inline void measure(struct packet *packet)
{
	(void)packet;
}

static __always_inline int count(struct __sk_buff *context, __u32 direction)
{
	struct device *device = device_of(context->ifindex);
	struct packet packet = {};
	__u32 key, seen, wanted;
	struct stats *own;

	if (!device)
		return GO_ON;
	key = device->slot * DIRECTIONS + direction;
	own = bpf_map_lookup_elem(&stats, &key);
	if (!own)
		return GO_ON;
	// The headers may lie in pages that a program cannot read; moving them changes nothing in the packet.
	seen = context->data_end - context->data;
	wanted = headers_bytes(context);
	if (seen < wanted && seen < context->len)
		bpf_skb_pull_data(context, context->len < wanted ? context->len : wanted);
	packet.cursor = packet.start = (void *)(long)context->data;
	packet.end = (void *)(long)context->data_end;
	packet.length = context->len;
	packet.whole = packet.length == (__u64)(packet.end - packet.start);
	if (device->header == HEADER_ETHERNET && count_plain(&packet, own->counters, &own->headers))
		return GO_ON;
	read_headers(&packet, device->header, &own->headers);
	count_headers(own->counters, &own->headers, packet.length);
	return GO_ON;
}

SEC("classifier")
int skep_tc_egress(struct __sk_buff *context)
{
	return count(context, DIRECTION_EGRESS);
}

SEC("classifier")
int skep_tc_ingress(struct __sk_buff *context)
{
	return count(context, DIRECTION_INGRESS);
}

char _license[] SEC("license") = "Apache-2.0";
