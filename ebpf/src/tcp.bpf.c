// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//
// Counts what happens to TCP connections: how they begin, end and fail, what is sent again, resets, and the round-trip
// time. All but one of the programs run on events of a connection, not of a packet, so their sums are kept once and
// changed by atomic instructions, as two programs may meet on one CPU. The one that does run on every segment received
// looks at three members and ends, except once a connection and window of time.
//
// Tracepoints see the sockets of every network namespace.
//
// Reading kernel structures is open to programs under a licence compatible with the GPL only, so this is under either
// licence and says so to the kernel.

#include <linux/bpf.h>
#include <linux/errno.h>
#include <linux/in.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "kernel.h"
#include "namespace.h"
#include "tcp.h"

// States, as net/tcp_states.h numbers them; user space sees these numbers too, so they stay.
#define TCP_ESTABLISHED 1
#define TCP_SYN_SENT 2
#define TCP_SYN_RECV 3
#define TCP_CLOSE 7
#define TCP_LISTEN 10

// The number of the flag of a socket whose other end is done sending (net/sock.h).
#define SOCK_DONE 1

// A running connection gives one sample of its round-trip time when its first segment arrives in a window of this
// many ticks, as a power of two: 4 s at 1000 ticks a second, 16 s at 250, 41 s at 100.
#define WINDOW_BITS 12

// The tracepoint tells the reason from Linux 6.10 on, which has this type since.
enum sk_rst_reason {
	SK_RST_REASON_NOT_SPECIFIED = 0,
};

// What is known of a connection from its beginning on.
struct connection {
	__u64 established_ns;
	__u32 side;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct totals);
} totals SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, PEERS_MAX);
	__type(key, struct peer);
	__type(value, struct peer_totals);
} peers SEC(".maps");

// Lies at the socket itself and goes with it, so that nothing has to be bounded or cleaned up.
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct connection);
} connections SEC(".maps");

// Zero is for user space: with no breakdown wanted, peers are not looked up.
volatile const __u32 peers_wanted = 1;

static const __u64 rtt_bounds[RTT_BOUNDS] = {
	100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000,
};

static const __u64 duration_bounds[DURATION_BOUNDS] = {
	1000, 10000, 100000, 1000000, 10000000, 60000000, 600000000, 3600000000, 21600000000, 86400000000,
};

static __always_inline void add(__u64 *counter, __u64 value)
{
	__sync_fetch_and_add(counter, value);
}

// What happens to a peer is added to these last, so that user space, which reads them first, finds all of it at peers.
static __always_inline struct totals *all(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&totals, &zero);
}

static __always_inline void observe(__u64 *buckets, const __u64 *bounds, __u32 count, __u64 value)
{
	__u32 bucket = 0;

#pragma clang loop unroll(disable)
	while (bucket < count && value > bounds[bucket])
		bucket++;
	add(&buckets[bucket], 1);
}

// Connections that were there before this program: the service mostly has the smaller port.
static __always_inline __u8 guess_side(__u16 local, __u16 remote)
{
	return local < remote ? SIDE_SERVER : SIDE_CLIENT;
}

// A socket that closes has given back its port by then, and still has it as what it puts into segments.
static __always_inline __u16 local_port(struct sock *sock)
{
	__u16 port = sock->__sk_common.skc_num;
	struct tcp_sock *tcp = port ? 0 : bpf_skc_to_tcp_sock(sock);

	return tcp ? bpf_ntohs(tcp->inet_conn.icsk_inet.inet_sport) : port;
}

static __always_inline void name(const struct sock_common *common, __u8 side, __u16 local, struct peer *peer)
{
	__u32 *words = (__u32 *)peer->address;

	if (common->skc_family == AF_INET6) {
		struct in6_addr address = common->skc_v6_daddr;

		__builtin_memcpy(peer->address, &address, sizeof(address));
	} else {
		words[2] = bpf_htonl(0xffff);
		words[3] = common->skc_daddr;
	}
	peer->side = side;
	peer->port = side == SIDE_SERVER ? local : bpf_ntohs(common->skc_dport);
}

// The place of a peer's sums. Full, the kernel makes room; only where it fails to, the peer is left out, and user
// space finds in the totals what no peer has.
static __always_inline struct peer_totals *place(struct peer *peer)
{
	struct peer_totals *place = bpf_map_lookup_elem(&peers, peer);
	struct peer_totals first = {};

	if (place)
		return place;
	bpf_map_update_elem(&peers, peer, &first, BPF_NOEXIST);
	return bpf_map_lookup_elem(&peers, peer);
}

static __always_inline struct peer_totals *peer_at(const struct sock_common *common, __u8 side, __u16 local)
{
	struct peer peer = {};

	if (!peers_wanted)
		return 0;
	name(common, side, local, &peer);
	return place(&peer);
}

// `sock` may be no full socket, which has no storage then.
static __always_inline __u8 side_of(struct sock *sock, __u16 local)
{
	struct connection *known = bpf_sk_storage_get(&connections, sock, 0, 0);

	if (known)
		return known->side;
	if (sock->__sk_common.skc_state == TCP_SYN_SENT)
		return SIDE_CLIENT;
	return guess_side(local, bpf_ntohs(sock->__sk_common.skc_dport));
}

static __always_inline struct peer_totals *peer_of(struct sock *sock)
{
	__u16 local = local_port(sock);

	return peer_at(&sock->__sk_common, side_of(sock, local), local);
}

// The kernel keeps eighths of microseconds.
static __always_inline void sample_rtt(struct totals *all, struct peer_totals *peer, __u32 srtt)
{
	__u64 microseconds = srtt >> 3;

	if (!srtt)
		return;
	if (peer) {
		add(&peer->rtt_samples, 1);
		add(&peer->rtt_microseconds, microseconds);
	}
	observe(all->rtt, rtt_bounds, RTT_BOUNDS, microseconds);
	add(&all->rtt_microseconds, microseconds);
}

static __always_inline void established(struct sock *sock, struct totals *all, __u32 side)
{
	struct connection fresh = { .established_ns = bpf_ktime_get_ns(), .side = side };
	struct peer_totals *peer;

	bpf_sk_storage_get(&connections, sock, &fresh, BPF_SK_STORAGE_GET_F_CREATE);
	peer = peer_at(&sock->__sk_common, side, local_port(sock));
	if (peer)
		add(&peer->established, 1);
	add(&all->established[side], 1);
}

static __always_inline __u32 failure_of(int error)
{
	switch (error) {
	case 0:
		return FAILED_ABORTED;
	case ECONNREFUSED:
		return FAILED_REFUSED;
	case ETIMEDOUT:
		return FAILED_TIMEOUT;
	case EHOSTUNREACH:
	case ENETUNREACH:
		return FAILED_UNREACHABLE;
	default:
		return FAILED_OTHER;
	}
}

static __always_inline void failed(struct sock *sock, struct totals *all, __u32 side)
{
	__u32 failure = failure_of(sock->sk_err);
	struct peer_totals *peer;

	peer = peer_at(&sock->__sk_common, side, local_port(sock));
	if (peer)
		add(&peer->failed, 1);
	if (failure < FAILURES)
		add(&all->failed[side & 1][failure], 1);
}

// The kernel's number of received bytes has the end of the stream in it as one byte.
static __always_inline __u64 received_payload(struct sock *sock, struct tcp_sock *tcp)
{
	__u64 end = sock->__sk_common.skc_flags >> SOCK_DONE & 1;
	__u64 received = tcp->bytes_received;

	return received > end ? received - end : 0;
}

static __always_inline void closed(struct sock *sock, struct totals *all)
{
	struct connection *known = bpf_sk_storage_get(&connections, sock, 0, 0);
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sock);
	struct peer_totals *peer = peer_of(sock);
	__u64 sent, received;

	add(&all->closed, 1);
	if (known) {
		__u64 microseconds = (bpf_ktime_get_ns() - known->established_ns) / 1000;

		observe(all->duration, duration_bounds, DURATION_BOUNDS, microseconds);
		add(&all->duration_microseconds, microseconds);
	}
	if (!tcp)
		return;
	sent = tcp->bytes_sent - tcp->bytes_retrans;
	received = received_payload(sock, tcp);
	if (peer) {
		add(&peer->sent_bytes, sent);
		add(&peer->received_bytes, received);
	}
	add(&all->sent_bytes, sent);
	add(&all->received_bytes, received);
	sample_rtt(all, peer, tcp->srtt_us);
}

static __always_inline void ended(struct sock *sock, struct totals *all, __u32 before)
{
	switch (before) {
	case TCP_SYN_SENT:
		failed(sock, all, SIDE_CLIENT);
		break;
	case TCP_SYN_RECV:
		failed(sock, all, SIDE_SERVER);
		break;
	case TCP_LISTEN:
	case TCP_CLOSE:
		break;
	default:
		closed(sock, all);
	}
}

// Arguments: socket, state before, state after.
SEC("tp_btf/inet_sock_set_state")
int inet_sock_set_state(__u64 *arguments)
{
	struct sock *sock = (struct sock *)arguments[0];
	__u32 before = arguments[1], after = arguments[2];
	struct totals *totals;

	if (after != TCP_ESTABLISHED && after != TCP_CLOSE)
		return 0;
	totals = all();
	if (!totals || sock->sk_protocol != IPPROTO_TCP || !socket_is_wanted(&sock->__sk_common))
		return 0;
	if (after == TCP_CLOSE)
		ended(sock, totals, before);
	else
		established(sock, totals, before == TCP_SYN_SENT ? SIDE_CLIENT : SIDE_SERVER);
	return 0;
}

// From Linux 6.17 on the tracepoint also fires for packets that TCP did not hand to IP after all, with one of these
// errors. Others come from below, when the packet was sent and counted as such.
static __always_inline int was_not_tried(int error)
{
	return error == -EBUSY || error == -EINVAL || error == -ENOMEM || error == -EAGAIN || error == -EHOSTUNREACH;
}

static __always_inline void retransmitted(struct sock *sock, struct sk_buff *packet)
{
	__u32 kind = sock->__sk_common.skc_state == TCP_SYN_SENT ? RETRANSMIT_SYN : RETRANSMIT_DATA;
	__u64 segments = ((struct tcp_skb_cb *)&packet->cb)->tcp_gso_segs;
	struct totals *totals = all();
	struct peer_totals *peer;

	if (!socket_is_wanted(&sock->__sk_common))
		return;
	peer = peer_of(sock);
	if (peer)
		add(&peer->retransmits, segments);
	if (totals)
		add(&totals->retransmits[kind], segments);
}

// Arguments: socket, packet. Linux 6.16 and older.
SEC("tp_btf/tcp_retransmit_skb")
int tcp_retransmit_skb(__u64 *arguments)
{
	retransmitted((struct sock *)arguments[0], (struct sk_buff *)arguments[1]);
	return 0;
}

// Arguments: socket, packet, error. Linux 6.17 and later.
SEC("tp_btf/tcp_retransmit_skb")
int tcp_retransmit_skb_error(__u64 *arguments)
{
	if (!was_not_tried(arguments[2]))
		retransmitted((struct sock *)arguments[0], (struct sk_buff *)arguments[1]);
	return 0;
}

// Arguments: listening socket, request.
SEC("tp_btf/tcp_retransmit_synack")
int tcp_retransmit_synack(__u64 *arguments)
{
	struct request_sock *request = (struct request_sock *)arguments[1];
	struct totals *totals = all();
	struct peer_totals *peer;

	if (!socket_is_wanted(&request->__req_common))
		return 0;
	peer = peer_at(&request->__req_common, SIDE_SERVER, request->__req_common.skc_num);
	if (peer)
		add(&peer->retransmits, 1);
	if (totals)
		add(&totals->retransmits[RETRANSMIT_SYN_ACK], 1);
	return 0;
}

// Arguments: socket, which is 0 for a reset that answers a segment for none; packet; reason.
SEC("tp_btf/tcp_send_reset")
int tcp_send_reset(__u64 *arguments)
{
	struct sock *sock = (struct sock *)arguments[0];
	struct sk_buff *packet = (struct sk_buff *)arguments[1];
	__u32 reason = RESET_REASON_UNKNOWN;
	struct totals *totals = all();
	struct peer_totals *peer;

	if (sock ? !socket_is_wanted(&sock->__sk_common) : !packet || !packet_is_wanted(packet))
		return 0;
	if (bpf_core_type_exists(enum sk_rst_reason))
		reason = arguments[2];
	if (reason >= RESET_REASONS)
		reason = RESET_REASON_UNKNOWN;
	peer = sock ? peer_of(sock) : 0;
	if (peer)
		add(&peer->resets, 1);
	if (totals)
		add(&totals->resets_sent[reason], 1);
	return 0;
}

// Arguments: socket.
SEC("tp_btf/tcp_receive_reset")
int tcp_receive_reset(__u64 *arguments)
{
	struct sock *sock = (struct sock *)arguments[0];
	struct totals *totals = all();
	struct peer_totals *peer;

	if (!socket_is_wanted(&sock->__sk_common))
		return 0;
	peer = peer_of(sock);
	if (peer)
		add(&peer->resets, 1);
	if (totals)
		add(&totals->resets_received, 1);
	return 0;
}

// Arguments: socket, packet. It runs on every segment that arrives for an established connection, before the kernel
// notes that: the socket still has the ticks of the segment before, of its acknowledgement or of its data. So the first
// one in a window is told without a store of our own.
SEC("tp_btf/tcp_probe")
int tcp_probe(__u64 *arguments)
{
	struct sock *sock = (struct sock *)arguments[0];
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sock);
	__u32 now = bpf_jiffies64(), before, data;
	struct totals *totals;

	if (!tcp)
		return 0;
	before = tcp->rcv_tstamp;
	data = tcp->inet_conn.icsk_ack.lrcvtime;
	if ((__s32)(data - before) > 0)
		before = data;
	if (now >> WINDOW_BITS == before >> WINDOW_BITS)
		return 0;
	totals = all();
	if (totals && socket_is_wanted(&sock->__sk_common))
		sample_rtt(totals, peer_of(sock), tcp->srtt_us);
	return 0;
}

char _license[] SEC("license") = "GPL";
