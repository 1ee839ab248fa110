// SPDX-License-Identifier: Apache-2.0
//
// Programs that do nothing, at the hooks of the probes xdp and tc: what `cargo xtask bench probes` measures against.

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("xdp")
int empty_xdp(struct xdp_md *context)
{
	(void)context;
	return XDP_PASS;
}

SEC("xdp.frags")
int empty_xdp_frags(struct xdp_md *context)
{
	(void)context;
	return XDP_PASS;
}

SEC("classifier")
int empty_tc(struct __sk_buff *context)
{
	(void)context;
	return -1;
}

char _license[] SEC("license") = "Apache-2.0";
