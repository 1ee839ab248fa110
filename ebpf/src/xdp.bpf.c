// SPDX-License-Identifier: Apache-2.0
//
// Counts what reaches a device: packets and bytes by IP family and transport protocol, sizes, TCP flags, fragments,
// malformed packets, and the busiest destination ports and sources. It only looks: every packet is passed on. The
// sums stay in the kernel, one set for each CPU, so that no packet costs an event, a lock or an atomic instruction;
// user space reads them once an interval.
//
// Loading it takes CAP_BPF, CAP_NET_ADMIN and, for packet pointers that move by what a header says, CAP_PERFMON.
//
// Every helper used here (map lookup, buffer length) is open to programs of any licence, so the licence string says
// what the file is under and no GPL is claimed. A helper restricted to GPL programs would be refused at load.

#include "devices.h"
#include "xdp.h"

// Whether more than packets and bytes is counted, and whether ports and sources are; fixed at load, so that the
// verifier takes out what is not wanted.
const volatile __u32 details = 1;
const volatile __u32 breakdown = 1;

// Stirs the places of ports and sources, so that nobody outside knows which keys meet.
const volatile __u64 seed = 0;

// The bucket of each unit of sizes, by the upper bounds 64, 128, 256, 512, 1024, 1536, 4096 and 9216 bytes.
static const __u8 size_buckets[SIZE_UNITS] = {
	[1] = 1,
	[2 ... 3] = 2,
	[4 ... 7] = 3,
	[8 ... 15] = 4,
	[16 ... 23] = 5,
	[24 ... 63] = 6,
	[64 ... 143] = 7,
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, DEVICES_MAX);
	__type(key, __u32);
	__type(value, struct stats);
} stats SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} epoch SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct ports);
} ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct sources);
} sources SEC(".maps");

static __always_inline void measure(struct packet *packet)
{
	if (!packet->context)
		return;
	packet->length = bpf_xdp_get_buff_len(packet->context);
	packet->whole = packet->length == (__u64)(packet->end - packet->start);
}

// The compiler knows what the table holds and drops the bound, the verifier does not; so the value passes a barrier, as
// it does elsewhere below.
static __always_inline void count_size(struct stats *stats, __u64 length)
{
	__u64 unit = (length - 1) >> SIZE_UNIT_BITS;
	__u32 bucket = unit < SIZE_UNITS ? size_buckets[unit] : SIZES - 1;

	barrier_var(bucket);
	if (bucket < SIZES)
		stats->sizes[bucket]++;
}

static __always_inline void count_flags(struct stats *stats, struct packet *packet)
{
	struct tcphdr *tcp = transport_of(&stats->headers, packet->start);
	__u8 flags;

	if ((void *)(tcp + 1) > packet->end)
		return;
	flags = ((__u8 *)tcp)[13];
	stats->flags[flags % TCP_FLAGS]++;
	if (flags >= TCP_FLAGS) {
		stats->ece += tcp->ece;
		stats->cwr += tcp->cwr;
	}
	if (tcp->doff < 5 && stats->headers.malformed == WELL_FORMED)
		stats->headers.malformed = MALFORMED_TRANSPORT;
}

static __always_inline void check_udp(struct stats *stats, struct packet *packet)
{
	struct udphdr *udp = transport_of(&stats->headers, packet->start);

	if ((void *)(udp + 1) > packet->end)
		return;
	// A length of zero is that of a datagram which is larger than the field can say.
	if (udp->len && bpf_ntohs(udp->len) < sizeof(*udp) && stats->headers.malformed == WELL_FORMED)
		stats->headers.malformed = MALFORMED_TRANSPORT;
}

// Makes an entry's count leave for the device's sum; the entry is then free.
#define EVICT(entry, other)                                                                                            \
	do {                                                                                                           \
		(other)->packets += (entry)->packets;                                                                  \
		(other)->bytes += (entry)->bytes;                                                                      \
		(entry)->packets = 0;                                                                                  \
		(entry)->bytes = 0;                                                                                    \
	} while (0)

static __always_inline __u64 stir(__u64 bits)
{
	return (bits ^ seed) * 0x9e3779b97f4a7c15;
}

static __always_inline void count_port(struct stats *stats, __u32 current, __u32 slot, struct packet *packet)
{
	struct ports *table = bpf_map_lookup_elem(&ports, &current);
	__be16 *numbers = transport_of(&stats->headers, packet->start);
	struct port *set, *entry;
	__u32 key;

	if (!table || (void *)(numbers + 2) > packet->end)
		return;
	key = KEY_USED | slot << KEY_SLOT_BITS | stats->headers.protocol << KEY_PROTOCOL_BITS | bpf_ntohs(numbers[1]);
	set = &table->entries[(stir(key) >> 56) % PORT_SETS * WAYS];
	entry = set;
	if (set[0].key == key)
		goto found;
	if (set[1].key == key) {
		entry = set + 1;
		goto found;
	}
	if (set[2].key == key) {
		entry = set + 2;
		goto found;
	}
	if (set[3].key == key) {
		entry = set + 3;
		goto found;
	}
	if (set[1].packets < entry->packets)
		entry = set + 1;
	if (set[2].packets < entry->packets)
		entry = set + 2;
	if (set[3].packets < entry->packets)
		entry = set + 3;
	EVICT(entry, &stats->other_ports);
	entry->key = key;
found:
	if (entry->packets == 0xffffffff)
		EVICT(entry, &stats->other_ports);
	entry->packets++;
	entry->bytes += packet->length;
}

static __always_inline int is_source(struct source *entry, __u64 first, __u64 second, __u32 key)
{
	return entry->address[0] == first && entry->address[1] == second && entry->key == key;
}

static __always_inline void count_source(struct stats *stats, __u32 current, __u32 slot, struct packet *packet)
{
	struct sources *table = bpf_map_lookup_elem(&sources, &current);
	__u32 key = KEY_USED | slot << KEY_SLOT_BITS | stats->headers.family;
	struct source *set, *entry;
	__u64 first, second = 0;

	if (!table)
		return;
	if (stats->headers.family == FAMILY_IPV4) {
		struct iphdr *ip = network_of(&stats->headers, packet->start);

		if ((void *)(ip + 1) > packet->end)
			return;
		first = ip->saddr;
	} else {
		struct ipv6hdr *ip = network_of(&stats->headers, packet->start);

		if ((void *)(ip + 1) > packet->end)
			return;
		first = ip->saddr.s6_addr32[0] | (__u64)ip->saddr.s6_addr32[1] << 32;
		second = ip->saddr.s6_addr32[2] | (__u64)ip->saddr.s6_addr32[3] << 32;
	}
	set = &table->entries[(stir(stir(first) + second + slot) >> 56) % SOURCE_SETS * WAYS];
	entry = set;
	if (is_source(set, first, second, key))
		goto found;
	if (is_source(set + 1, first, second, key)) {
		entry = set + 1;
		goto found;
	}
	if (is_source(set + 2, first, second, key)) {
		entry = set + 2;
		goto found;
	}
	if (is_source(set + 3, first, second, key)) {
		entry = set + 3;
		goto found;
	}
	if (set[1].packets < entry->packets)
		entry = set + 1;
	if (set[2].packets < entry->packets)
		entry = set + 2;
	if (set[3].packets < entry->packets)
		entry = set + 3;
	EVICT(entry, &stats->other_sources);
	entry->address[0] = first;
	entry->address[1] = second;
	entry->key = key;
found:
	if (entry->packets == 0xffffffff)
		EVICT(entry, &stats->other_sources);
	entry->packets++;
	entry->bytes += packet->length;
}

static __always_inline void count_details(struct stats *stats, struct packet *packet)
{
	struct headers *headers = &stats->headers;

	count_size(stats, packet->length);
	if (headers->transport != NOWHERE) {
		if (headers->protocol == PROTOCOL_TCP)
			count_flags(stats, packet);
		else if (headers->protocol == PROTOCOL_UDP)
			check_udp(stats, packet);
	}
	if (headers->is_fragment)
		stats->fragments[headers->family == FAMILY_IPV6]++;
	if (headers->malformed < MALFORMED)
		stats->malformed[headers->malformed]++;
}

static __always_inline int has_ports(__u8 protocol)
{
	return protocol == PROTOCOL_TCP || protocol == PROTOCOL_UDP || protocol == PROTOCOL_SCTP;
}

static __always_inline void count_breakdown(struct stats *stats, __u32 slot, struct packet *packet)
{
	__u32 zero = 0;
	__u32 *current = bpf_map_lookup_elem(&epoch, &zero);

	if (!current)
		return;
	if (stats->headers.transport != NOWHERE && has_ports(stats->headers.protocol))
		count_port(stats, *current, slot, packet);
	if (stats->headers.network != NOWHERE)
		count_source(stats, *current, slot, packet);
}

static __always_inline int count(struct xdp_md *context, void *buffers)
{
	struct device *device = device_of(context->ingress_ifindex);
	struct packet packet = { .whole = 1, .context = buffers };
	struct stats *own;
	__u32 slot;

	if (!device)
		return XDP_PASS;
	slot = device->slot;
	own = bpf_map_lookup_elem(&stats, &slot);
	if (!own)
		return XDP_PASS;
	packet.cursor = packet.start = (void *)(long)context->data;
	packet.end = (void *)(long)context->data_end;
	// Of 32 bits, so that the verifier need not think of a length below zero in every way through the headers.
	packet.length = context->data_end - context->data;
	if (device->header != HEADER_ETHERNET || !count_plain(&packet, own->counters, &own->headers)) {
		read_headers(&packet, device->header, &own->headers);
		count_headers(own->counters, &own->headers, packet.length);
	}
	barrier();
	if (details)
		count_details(own, &packet);
	if (breakdown)
		count_breakdown(own, slot, &packet);
	return XDP_PASS;
}

// For kernels from 5.18 on: takes packets in several buffers, and counts all of them.
SEC("xdp.frags")
int skep_xdp_frags(struct xdp_md *context)
{
	return count(context, context);
}

// For older kernels: they hand over packets in one buffer only.
SEC("xdp")
int skep_xdp(struct xdp_md *context)
{
	return count(context, 0);
}

char _license[] SEC("license") = "Apache-2.0";
