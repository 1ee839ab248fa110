/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The layout that the program shares with user space; crates/probes/src/xdp/layout.rs mirrors it, and a test there
 * reads this file and compares every number.
 */
#ifndef SKEP_XDP_H
#define SKEP_XDP_H

#include "packet.h"

/* Sizes are looked up by units of 64 bytes, up to the largest bound that is not that of the last bucket. */
#define SIZE_UNIT_BITS 6
#define SIZE_UNITS 144
#define SIZES 9

/* FIN, SYN, RST, PSH, ACK and URG in every combination; ECE and CWR, which are rare, have counters of their own. */
#define TCP_FLAGS 64

/*
 * Ports and sources are counted in sets of four entries, one cache line or two; in a full set the entry with the
 * fewest packets makes room and what it counted goes to the device's `other`. So a scan, which brings one packet for
 * each of many keys, pushes out other parts of the scan and not those that send much.
 */
#define WAYS 4
#define PORT_SETS 256
#define SOURCE_SETS 128

/* An entry's key that is zero marks a free one, so that every key has this bit. */
#define KEY_USED 0x80000000
#define KEY_SLOT_BITS 24
#define KEY_PROTOCOL_BITS 16

/* What is counted of one device: with 64 devices 81 KiB a CPU. */
struct stats {
	struct counter counters[COUNTERS];
	__u64 sizes[SIZES];
	__u64 flags[TCP_FLAGS];
	__u64 ece;
	__u64 cwr;
	/* By FAMILY_IPV4 and FAMILY_IPV6, less one. */
	__u64 fragments[2];
	__u64 malformed[MALFORMED];
	/* What was counted by port or source and had to make room. */
	struct counter other_ports;
	struct counter other_sources;
	/* Of the packet that is being read. */
	struct headers headers;
};

/* KEY_USED, the slot, the protocol and the destination port in the order of the machine's bytes. */
struct port {
	__u32 key;
	__u32 packets;
	__u64 bytes;
};

/* The address as it stands in the packet, zeros behind one of IPv4; KEY_USED, the slot and the family. */
struct source {
	__u64 address[2];
	__u32 key;
	__u32 packets;
	__u64 bytes;
};

/*
 * There are two of each: the program counts into the one that `epoch` names, user space reads and empties the other
 * one after every program that may still have written to it has ended. So nothing is lost between reading and emptying.
 */
struct ports {
	struct port entries[PORT_SETS * WAYS];
};

struct sources {
	struct source entries[SOURCE_SETS * WAYS];
};

#endif
