// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//
// Programs that do nothing, at the tracepoints of the probes drops, tcp and udp: what `cargo xtask bench events`
// measures against.

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("tp_btf/kfree_skb")
int empty_kfree_skb(void *arguments)
{
	(void)arguments;
	return 0;
}

SEC("tp_btf/udp_fail_queue_rcv_skb")
int empty_udp_fail_queue_rcv_skb(void *arguments)
{
	(void)arguments;
	return 0;
}

SEC("tp_btf/inet_sock_set_state")
int empty_inet_sock_set_state(void *arguments)
{
	(void)arguments;
	return 0;
}

SEC("tp_btf/tcp_probe")
int empty_tcp_probe(void *arguments)
{
	(void)arguments;
	return 0;
}

char _license[] SEC("license") = "GPL";
