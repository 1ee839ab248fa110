/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Which network namespaces a probe of tracepoints counts: tracepoints see those of all.
 */
#ifndef SKEP_NAMESPACE_H
#define SKEP_NAMESPACE_H

#include "kernel.h"

/* Set by user space: the number of the only namespace that counts, or 0 for all of them. */
volatile const __u32 namespace_wanted = 0;

static __always_inline int is_wanted(const struct net *net)
{
	return !namespace_wanted || (net && net->ns.inum == namespace_wanted);
}

static __always_inline int socket_is_wanted(const struct sock_common *common)
{
	return !namespace_wanted || is_wanted(common->skc_net.net);
}

/* By the device that it came by or leaves by, or by its socket; a packet with neither is nowhere. */
static __always_inline int packet_is_wanted(const struct sk_buff *skb)
{
	const struct net_device *device;
	const struct sock *sock;

	if (!namespace_wanted)
		return 1;
	device = skb->dev;
	if (device)
		return is_wanted(device->nd_net.net);
	sock = skb->sk;
	return sock && is_wanted(sock->__sk_common.skc_net.net);
}

#endif
