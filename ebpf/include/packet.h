/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a packet is: its family, its transport protocol, whether it is a fragment and whether its headers make sense.
 * Programs at the hooks XDP and tc share it, so that both sides of a device count by the same rules.
 *
 * crates/probes/src/packet.rs mirrors the numbers, and a test there reads this file and compares every one.
 */
#ifndef SKEP_PACKET_H
#define SKEP_PACKET_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define HEADER_ETHERNET 0
#define HEADER_NONE 1
/* A frame header that the program cannot read: everything counts as `other`. */
#define HEADER_OPAQUE 2

#define FAMILY_OTHER 0
#define FAMILY_IPV4 1
#define FAMILY_IPV6 2
#define FAMILY_ARP 3
#define FAMILIES 4

#define PROTOCOL_OTHER 0
#define PROTOCOL_TCP 1
#define PROTOCOL_UDP 2
#define PROTOCOL_ICMP 3
#define PROTOCOL_ICMPV6 4
#define PROTOCOL_SCTP 5
#define PROTOCOL_IGMP 6
#define PROTOCOL_GRE 7
#define PROTOCOL_ESP 8
#define PROTOCOLS 9

#define COUNTERS (FAMILIES * PROTOCOLS)

/* The frame ends within its Ethernet header or a VLAN tag. */
#define MALFORMED_FRAME 0
/* The IP header is cut off, is of another version than the frame says, or gives itself an impossible length. */
#define MALFORMED_IP_HEADER 1
/* The IP header tells of more bytes than there are, or of fewer than it has itself. */
#define MALFORMED_IP_LENGTH 2
/* The IPv6 extension headers are cut off or too many. */
#define MALFORMED_IP_EXTENSIONS 3
/* The header of TCP, UDP, ICMP or SCTP is cut off or gives itself an impossible length. */
#define MALFORMED_TRANSPORT 4
#define MALFORMED 5
#define WELL_FORMED MALFORMED

/* Packets and bytes. */
struct counter {
	__u64 packets;
	__u64 bytes;
};

/* What follows is the layout of headers that no UAPI header exports. */

struct vlan_tag {
	__be16 control;
	__be16 protocol;
};

/*
 * The first eight bytes of every IPv6 extension header; `length` means eight-byte units beyond the first eight,
 * except in an authentication header (four-byte units beyond the first eight) and a fragment header (none).
 */
struct extension {
	__u8 next;
	__u8 length;
	__be16 fragment;
	__be32 rest;
};

/* Of the field that an IPv4 header has for it, and of an IPv6 fragment header. */
#define IPV4_OFFSET_MASK 0x1fff
#define IPV4_MORE_FRAGMENTS 0x2000
#define IPV6_OFFSET_MASK 0xfff8
#define IPV6_MORE_FRAGMENTS 0x0001

/* Next-header numbers that <linux/in.h> lacks. */
#define NEXT_HOST_IDENTITY 139
#define NEXT_SHIM6 140

/* A frame carries at most two tags: 802.1ad outside, 802.1Q inside. */
#define VLAN_TAGS_MAX 2

/*
 * Real packets carry one or two extension headers. A longer chain counts as `other`, so that the verifier sees a
 * bounded walk and nobody buys CPU time with a crafted packet.
 */
#define EXTENSIONS_MAX 8

/* 255 units of eight bytes and all smaller lengths. */
#define EXTENSION_LENGTH_MASK 0x7ff

/* Ten words and all smaller lengths. */
#define IPV4_OPTIONS_MASK 0x3f

/* Version 4 and a header of five words. */
#define PLAIN_IPV4 0x45

/* An IP packet larger than its length field can say: the field is zero then. */
#define IP_LENGTH_MAX 0xffff

/*
 * What a protocol or next-header number means: the protocol it counts under, the size of its length unit as a power
 * of two for an extension header, and the size of the smallest header for a transport protocol. A table and not a
 * `switch`, because the verifier follows every branch of every round of the walk, and eight rounds of a `switch` are
 * more than it is willing to follow.
 */
struct number {
	__u8 protocol;
	__u8 unit_bits;
	__u8 header_min;
	__u8 padding;
};

static const struct number numbers[256] = {
	[IPPROTO_TCP] = { .protocol = PROTOCOL_TCP, .header_min = 20 },
	[IPPROTO_UDP] = { .protocol = PROTOCOL_UDP, .header_min = 8 },
	[IPPROTO_ICMP] = { .protocol = PROTOCOL_ICMP, .header_min = 8 },
	[IPPROTO_ICMPV6] = { .protocol = PROTOCOL_ICMPV6, .header_min = 4 },
	[IPPROTO_SCTP] = { .protocol = PROTOCOL_SCTP, .header_min = 12 },
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

/* A packet that is being read. */
struct packet {
	void *cursor;
	void *start;
	/* What may be read; a packet in several buffers goes on behind it. */
	void *end;
	/* From the first byte to the last one of all buffers. Until `measure` was asked, only what may be read. */
	__u64 length;
	/* What may be read is all there is, so that a header beyond the end is cut off. */
	__u8 whole;
	void *context;
};

/* Learns the length over all buffers; the hook has its way. */
static __always_inline void measure(struct packet *packet);

/*
 * What was found. It lies in a map: what a program writes there and reads again is unknown to the verifier, so that
 * the hundreds of ways through the headers become one before anything is counted.
 */
struct headers {
	__u8 family;
	__u8 protocol;
	/* One of MALFORMED_*, or WELL_FORMED. */
	__u8 malformed;
	__u8 is_fragment;
	/* Where the network header begins, or NOWHERE if its fixed part cannot be read. */
	__u16 network;
	/* Where the transport header begins, or NOWHERE if there is none, as in a later fragment. */
	__u16 transport;
} __attribute__((aligned(8)));

/* Of a whole packet with nothing unusual in it; without a place for a transport header there is no IP header either. */
#define PLAIN(ip, number, transport_at)                                                                                \
	(struct headers) {                                                                                             \
		.family = FAMILY_##ip, .protocol = PROTOCOL_##number, .malformed = WELL_FORMED,                        \
		.network = (transport_at) == NOWHERE ? NOWHERE : ETH_HLEN, .transport = transport_at,                  \
	}

#define NOWHERE 0xffff
/* Two tags, an IPv6 header and eight of the longest extension headers lie below. */
#define TRANSPORT_MASK 0x7fff
#define NETWORK_MASK 0x1f

/* Moves over a header, if all of it lies before the end. The header is then read at the old cursor. */
static __always_inline int skip(struct packet *packet, __u32 length)
{
	if (packet->cursor + length > packet->end)
		return 0;
	packet->cursor += length;
	return 1;
}

static __always_inline void complain(struct headers *headers, struct packet *packet, __u32 reason)
{
	measure(packet);
	if (packet->whole && headers->malformed == WELL_FORMED)
		headers->malformed = reason;
}

/*
 * Asking for the length costs as much as reading the headers. A packet that ends where its IP header says, or a small
 * one with the padding of the smallest frame behind it, is all in one buffer, and nobody needs to be asked.
 */
static __always_inline void measure_ip(struct packet *packet, void *ip, __u64 told)
{
	__u64 seen = packet->end - ip;

	if (told != seen && (told > seen || packet->length > ETH_ZLEN))
		measure(packet);
}

/*
 * The verifier does not follow a shift by a variable and the compiler drops a mask that it knows to change nothing;
 * the barrier hides the value's origin from the compiler, so that the verifier gets to see the bound.
 */
static __always_inline __u32 units_length(__u8 units, __u8 unit_bits)
{
	__u32 length = units << (unit_bits & 3);

	barrier_var(length);
	return length & EXTENSION_LENGTH_MASK;
}

/*
 * The fragment header names the protocol of the whole datagram, so a later fragment counts under it; what stands
 * behind that header in a later fragment is payload and must not be read as a header.
 */
static __always_inline void read_ipv6(struct packet *packet, struct headers *headers)
{
	struct ipv6hdr *ip = packet->cursor;
	__u64 told;
	__u8 next;

	headers->family = FAMILY_IPV6;
	if (!skip(packet, sizeof(*ip))) {
		complain(headers, packet, MALFORMED_IP_HEADER);
		return;
	}
	headers->network = (void *)ip - packet->start;
	told = bpf_ntohs(ip->payload_len) + sizeof(*ip);
	measure_ip(packet, ip, told);
	if (ip->version != 6)
		headers->malformed = MALFORMED_IP_HEADER;
	else if (told > packet->length - headers->network)
		headers->malformed = MALFORMED_IP_LENGTH;
	next = ip->nexthdr;
#pragma clang loop unroll(disable)
	for (int i = 0; i < EXTENSIONS_MAX && numbers[next].unit_bits; i++) {
		struct extension *header = packet->cursor;

		if (!skip(packet, sizeof(*header))) {
			complain(headers, packet, MALFORMED_IP_EXTENSIONS);
			return;
		}
		if (next == IPPROTO_FRAGMENT) {
			headers->is_fragment = header->fragment & bpf_htons(IPV6_OFFSET_MASK | IPV6_MORE_FRAGMENTS) ? 1 : 0;
			if (header->fragment & bpf_htons(IPV6_OFFSET_MASK)) {
				headers->protocol = numbers[header->next].protocol;
				return;
			}
		} else {
			packet->cursor += units_length(header->length, numbers[next].unit_bits);
		}
		next = header->next;
	}
	if (numbers[next].unit_bits && headers->malformed == WELL_FORMED)
		headers->malformed = MALFORMED_IP_EXTENSIONS;
	headers->protocol = numbers[next].protocol;
	headers->transport = packet->cursor - packet->start;
	if (numbers[next].header_min && !skip(packet, numbers[next].header_min & 31))
		complain(headers, packet, MALFORMED_TRANSPORT);
}

static __always_inline void read_ipv4(struct packet *packet, struct headers *headers)
{
	struct iphdr *ip = packet->cursor;
	__u32 header, options;
	__u64 told, length;
	__u16 fragment;

	headers->family = FAMILY_IPV4;
	if (!skip(packet, sizeof(*ip))) {
		complain(headers, packet, MALFORMED_IP_HEADER);
		return;
	}
	headers->network = (void *)ip - packet->start;
	headers->protocol = numbers[ip->protocol].protocol;
	told = bpf_ntohs(ip->tot_len);
	measure_ip(packet, ip, told);
	length = packet->length - headers->network;
	header = ip->ihl * 4;
	if (ip->version != 4 || header < sizeof(*ip)) {
		headers->malformed = MALFORMED_IP_HEADER;
		return;
	}
	options = header - sizeof(*ip);
	barrier_var(options);
	if (!skip(packet, options & IPV4_OPTIONS_MASK)) {
		complain(headers, packet, MALFORMED_IP_HEADER);
		return;
	}
	if (told > length || (told < header && (told || length <= IP_LENGTH_MAX)))
		headers->malformed = MALFORMED_IP_LENGTH;
	fragment = bpf_ntohs(ip->frag_off);
	headers->is_fragment = fragment & (IPV4_OFFSET_MASK | IPV4_MORE_FRAGMENTS) ? 1 : 0;
	if (fragment & IPV4_OFFSET_MASK)
		return;
	headers->transport = packet->cursor - packet->start;
	if (numbers[ip->protocol].header_min && !skip(packet, numbers[ip->protocol].header_min & 31))
		complain(headers, packet, MALFORMED_TRANSPORT);
}

static __always_inline int is_vlan(__be16 protocol)
{
	return protocol == bpf_htons(ETH_P_8021Q) || protocol == bpf_htons(ETH_P_8021AD);
}

/* The protocol behind the Ethernet header and its tags; 0 where the frame ends before. */
static __always_inline __be16 ethernet_protocol(struct packet *packet, struct headers *headers)
{
	struct ethhdr *ethernet = packet->cursor;
	__be16 protocol;

	if (!skip(packet, sizeof(*ethernet))) {
		complain(headers, packet, MALFORMED_FRAME);
		return 0;
	}
	protocol = ethernet->h_proto;
#pragma clang loop unroll(disable)
	for (int i = 0; i < VLAN_TAGS_MAX; i++) {
		struct vlan_tag *tag = packet->cursor;

		if (!is_vlan(protocol))
			break;
		if (!skip(packet, sizeof(*tag))) {
			complain(headers, packet, MALFORMED_FRAME);
			return 0;
		}
		protocol = tag->protocol;
	}
	return protocol;
}

/* Without a frame header only the version in the first four bits tells what the packet is. */
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

static __always_inline void add(struct counter *counter, __u64 length)
{
	counter->packets++;
	counter->bytes += length;
}

/* Counts a packet by what its headers said. */
static __always_inline void count_headers(struct counter *counters, struct headers *headers, __u64 length)
{
	__u32 counter = headers->family * PROTOCOLS + headers->protocol;

	if (counter < COUNTERS)
		add(&counters[counter], length);
}

/*
 * Counts a packet of a known kind and writes down what it is. Its counter stands at a place that the compiler knows: to look
 * it up by what was written down takes as long as all comparisons.
 */
#define COUNT_PLAIN(ip, number, transport_at)                                                                          \
	do {                                                                                                           \
		add(&counters[FAMILY_##ip * PROTOCOLS + PROTOCOL_##number], packet->length);                           \
		*headers = PLAIN(ip, number, transport_at);                                                            \
		return 1;                                                                                              \
	} while (0)

/*
 * Nearly all packets are TCP or UDP behind an IP header without options, in one piece and as long as that header says, and
 * most others are ARP. For those a few comparisons tell everything; zero for all others, of which nothing was counted.
 */
static __always_inline int count_plain(struct packet *packet, struct counter *counters, struct headers *headers)
{
	struct iphdr *ipv4 = packet->start + ETH_HLEN;
	struct ipv6hdr *ipv6 = packet->start + ETH_HLEN;
	__u64 seen = packet->end - (void *)ipv4;
	__be16 protocol;

	if (packet->start + ETH_HLEN + sizeof(*ipv4) + sizeof(struct udphdr) > packet->end)
		return 0;
	protocol = *(__be16 *)(packet->start + ETH_HLEN - sizeof(protocol));
	if (protocol == bpf_htons(ETH_P_IP)) {
		if (*(__u8 *)ipv4 != PLAIN_IPV4 || bpf_ntohs(ipv4->tot_len) != seen)
			return 0;
		if (ipv4->frag_off & bpf_htons(IPV4_OFFSET_MASK | IPV4_MORE_FRAGMENTS))
			return 0;
		if (ipv4->protocol == IPPROTO_UDP)
			COUNT_PLAIN(IPV4, UDP, ETH_HLEN + sizeof(*ipv4));
		if (ipv4->protocol == IPPROTO_TCP && seen >= sizeof(*ipv4) + sizeof(struct tcphdr))
			COUNT_PLAIN(IPV4, TCP, ETH_HLEN + sizeof(*ipv4));
		return 0;
	}
	if (protocol == bpf_htons(ETH_P_ARP)) {
		measure(packet);
		COUNT_PLAIN(ARP, OTHER, NOWHERE);
	}
	if (protocol != bpf_htons(ETH_P_IPV6) || packet->start + ETH_HLEN + sizeof(*ipv6) > packet->end)
		return 0;
	if (ipv6->version != 6 || bpf_ntohs(ipv6->payload_len) + sizeof(*ipv6) != seen)
		return 0;
	if (ipv6->nexthdr == IPPROTO_UDP && seen >= sizeof(*ipv6) + sizeof(struct udphdr))
		COUNT_PLAIN(IPV6, UDP, ETH_HLEN + sizeof(*ipv6));
	if (ipv6->nexthdr == IPPROTO_TCP && seen >= sizeof(*ipv6) + sizeof(struct tcphdr))
		COUNT_PLAIN(IPV6, TCP, ETH_HLEN + sizeof(*ipv6));
	return 0;
}

/* Reads the headers of a packet on a device with this kind of frame header. */
static __always_inline void read_headers(struct packet *packet, __u32 header, struct headers *headers)
{
	__be16 protocol = 0;

	*headers = (struct headers){ .malformed = WELL_FORMED, .network = NOWHERE, .transport = NOWHERE };
	if (header == HEADER_ETHERNET)
		protocol = ethernet_protocol(packet, headers);
	else if (header == HEADER_NONE)
		protocol = bare_protocol(packet);

	if (protocol == bpf_htons(ETH_P_IP))
		read_ipv4(packet, headers);
	else if (protocol == bpf_htons(ETH_P_IPV6))
		read_ipv6(packet, headers);
	else {
		measure(packet);
		if (protocol == bpf_htons(ETH_P_ARP))
			headers->family = FAMILY_ARP;
	}
	barrier();
}

/* The network header, of which the caller has to check how much can be read. */
static __always_inline void *network_of(const struct headers *headers, void *start)
{
	return start + (headers->network & NETWORK_MASK);
}

/* The transport header, of which the caller has to check how much can be read. */
static __always_inline void *transport_of(const struct headers *headers, void *start)
{
	return start + (headers->transport & TRANSPORT_MASK);
}

#endif
