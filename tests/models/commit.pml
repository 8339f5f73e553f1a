/* Commit, batches and holes, on one stream.
 *
 * Two messaging copies commit posts of one author in batches of one or two, a moderation copy commits his ban, a client
 * repeats a call whose answer it did not get (same request id, other copy), every copy may die between COMMIT and
 * publishing, the bus loses and reorders frames (one a batch), and a gateway orders, notices holes by later frames or the
 * watermark, and fills them from the log.
 *
 * Proved (spin, exhaustive): a request is written at most once and an acknowledged one exactly once; seq has no gap and
 * nothing is numbered twice; no post is in the log behind the ban, whatever right it was judged by; the gateway delivers each seq
 * once and in order; everything committed is delivered in the end.
 * Mutations that each make it fail: CHECK_BEFORE_LOCK (epochs and request ids compared on a snapshot older than the lock),
 * NO_REQUEST_LOG (repeats are not looked up), NO_WATERMARK (a dead copy's last batch is never noticed). */
#define OPS 3       /* posts, request ids 0..OPS-1 */
#define N 4         /* posts and one ban */
#define BAN 9
#define FREE 255

byte log[N + 1];            /* log[seq] = request id or BAN; seq from 1 */
byte head = 0;
byte epoch = 0;             /* of the author in this stream */
bool banned = false;
byte holder = FREE;         /* who holds the stream's row lock */
byte written[OPS];          /* times a request stands in the log */
bool acked[OPS];
byte bus = 0;               /* seqs in frames under way, one bit each */
byte applied = 0;           /* gateway */
byte have = 0;              /* gateway: buffered out of order */
byte delivered = 0;
chan queue[2] = [3] of { byte };

inline lookup(r, found) { found = false; if :: written[r] > 0 -> found = true :: else fi }

/* One messaging copy: takes what waits (one or two calls), judges, locks, compares, numbers, commits, publishes. */
proctype Messaging(byte me) {
	byte batch[2]; byte n; byte i; byte judged; bool may; bool found; byte sent; byte taken_epoch; bool seen[2];
end:
	do
	:: queue[me]?batch[0] ->
		n = 1;
		if :: queue[me]?batch[1] -> n = 2 :: empty(queue[me]) fi;
judge:
		atomic { judged = epoch; may = !banned }       /* one snapshot of moderation's */
#ifdef CHECK_BEFORE_LOCK
		atomic { taken_epoch = epoch; i = 0; do :: i < n -> lookup(batch[i], seen[i]); i++ :: else -> break od }
#endif
		atomic { holder == FREE -> holder = me }       /* statement 1 */
		/* statement 2, on a snapshot newer than the lock, and COMMIT */
		atomic {
#ifndef CHECK_BEFORE_LOCK
			taken_epoch = epoch;
			i = 0; do :: i < n -> lookup(batch[i], seen[i]); i++ :: else -> break od;
#endif
			if
			:: taken_epoch != judged -> holder = FREE; goto judge
			:: else -> skip
			fi;
			sent = 0; i = 0;
			do
			:: i < n ->
#ifdef NO_REQUEST_LOG
				seen[i] = false;
#endif
				if
				:: may && !seen[i] && !(i == 1 && batch[0] == batch[1]) ->
					head++; assert(head <= N); log[head] = batch[i]; written[batch[i]]++;
					assert(written[batch[i]] == 1); assert(!banned); sent = sent | (1 << head)
				:: else -> skip
				fi;
				i++
			:: else -> break
			od;
			holder = FREE
		}
		if
		:: skip ->                                     /* it lives: publish, then answer */
			if :: bus = bus | sent :: skip fi;      /* the frame may be lost */
			atomic { i = 0;
				do
				:: i < n -> acked[batch[i]] = true; assert(!may || written[batch[i]] == 1); i++
				:: else -> break
				od }
		:: skip ->                                     /* it dies here and comes back; the callers repeat elsewhere */
			atomic { i = 0;
				do
				:: i < n ->
					if
					:: acked[batch[i]] || full(queue[1 - me]) -> skip /* full: answered BUSY, the client does not know */
					:: !acked[batch[i]] && nfull(queue[1 - me]) -> queue[1 - me]!batch[i]
					fi;
					i++
				:: else -> break
				od }
		fi
	od
}

proctype Moderation() {
	atomic { holder == FREE -> holder = 2 }
	atomic { head++; log[head] = BAN; epoch++; banned = true; holder = FREE }
	if :: bus = bus | (1 << head) :: skip fi
}

inline deliver(s) { assert(s == applied + 1); assert(!(delivered & (1 << s))); delivered = delivered | (1 << s); applied = s }

inline take(s) { bus = bus & ~(1 << s); if :: s > applied -> have = have | (1 << s) :: else fi }

/* Frames arrive in any order, or never. */
proctype Subscriber() {
end:
	do
	:: atomic { (bus & 2) -> take(1) }
	:: atomic { (bus & 4) -> take(2) }
	:: atomic { (bus & 8) -> take(3) }
	:: atomic { (bus & 16) -> take(4) }
	od
}

proctype Gateway() {
end:
	do
	:: atomic { applied < N && (have & (1 << (applied + 1))) -> have = have & ~(1 << (applied + 1)); deliver(applied + 1) }
	/* a hole: something later is here, or the watermark told of a newer head; one fetch from the log */
#ifdef NO_WATERMARK
	:: atomic { have != 0 && applied < head && !(have & (1 << (applied + 1))) -> deliver(applied + 1) }
#else
	:: atomic { applied < head && !(have & (1 << (applied + 1))) -> deliver(applied + 1) }
#endif
	od
}

init {
	atomic {
		byte r = 0;
		do :: r < OPS -> if :: queue[0]!r :: queue[1]!r fi; r++ :: else -> break od;
		run Messaging(0); run Messaging(1); run Moderation(); run Subscriber(); run Gateway()
	}
}

/* Fewer than N seqs may be used (the ban refuses later posts): what counts is that the gateway reaches the head. */
ltl all_delivered { <> [] (applied == head) }
