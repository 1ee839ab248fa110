/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of devices that a program counts, filled by user space; crates/probes/src/seats.rs mirrors the numbers, and
 * a test there reads this file and compares every one.
 */
#ifndef SKEP_DEVICES_H
#define SKEP_DEVICES_H

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

/* A machine with more devices names those that matter. */
#define DEVICES_MAX 64

/*
 * Devices are found by the low bits of their index, in the place that these name or one of the next few. A thousand
 * places for 64 devices make the first place right nearly always; a hash table would cost more than all of the rest.
 */
#define DEVICE_PLACES 1024
#define DEVICE_STEPS 8

/* What user space says of a device, at a place that its index leads to. */
struct device {
	__u32 index;
	__u32 slot;
	__u32 header;
};

/* A variable and not a map to look up, which costs each packet as much as a third of counting it. */
struct device devices[DEVICE_PLACES] SEC(".data.devices");

static __always_inline struct device *device_of(__u32 index)
{
	struct device *device = &devices[index % DEVICE_PLACES];

	if (device->index == index)
		return device;
#pragma clang loop unroll(disable)
	for (__u32 step = 1; step < DEVICE_STEPS; step++) {
		device = &devices[(index + step) % DEVICE_PLACES];
		if (device->index == index)
			return device;
	}
	return 0;
}

#endif
