/*
 * A load generator: an MTA's side of the milter protocol (version 6), from several connections at once.
 *
 * Each connection is a thread that does what Postfix does: negotiate, send only the steps that the filter wants, gather
 * packets until an answer is due, keep to "skip". A message is MAIL, RCPT, DATA, header fields, EOH, a body, the end.
 * Messages are numbered; "%d" in a sender or HELO becomes the number, so that every one can be from a domain of its own.
 *
 * It writes one line of JSON: rate, latencies in milliseconds, replies by kind. Options: see usage().
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { NO_REPLY_BODY = 0x80000 }; /* the others stand in `steps` */
enum { BUFFER = 1 << 17, PATTERNS = 64, KINDS = 128, GIVE_UP = 50 };

struct step {
	char command;
	uint32_t skip, no_reply;
	int stage; /* of its macros, -1: none */
};

static const struct step CONNECT = {'C', 0x01, 0x1000, 0}, HELO = {'H', 0x02, 0x2000, 1}, MAIL = {'M', 0x04, 0x4000, 2},
			 RCPT = {'R', 0x08, 0x8000, 3}, DATA = {'T', 0x200, 0x10000, 4}, HEADER = {'L', 0x20, 0x80, -1},
			 EOH = {'N', 0x40, 0x40000, 6}, BODY = {'B', 0x10, NO_REPLY_BODY, -1}, END = {'E', 0, 0, 5};

/* What is asked for. */
static struct sockaddr_storage peer;
static socklen_t peer_size;
static int connections = 8, per_connection, headers = 20, body = 2048, clients = 1, timeout_seconds = 60;
static long messages = 1000, start_number, cycle;
static double seconds, rate;
static const char *helo = "mta", *client_name, *client = "192.0.2.10", *patterns[PATTERNS];
static int pattern_count;

/* What is common to all connections. */
static atomic_long next_number;
static double started;
static char body_text[65536];

struct connection {
	pthread_t thread;
	int socket;
	uint32_t steps;
	int has_list[7]; /* whether the filter named the macros of a stage */
	char list[7][256];
	unsigned char out[BUFFER], in[BUFFER];
	size_t out_used, in_used, in_read;
	long sent_on_this; /* messages */
	double *message_ms, *mail_ms;
	size_t count, mail_count, space;
	unsigned long mail_kinds[KINDS], end_kinds[KINDS], fields, errors;
};

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void sleep_until(double when)
{
	struct timespec time = {.tv_sec = (time_t)when, .tv_nsec = (long)((when - (double)(time_t)when) * 1e9)};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL) == EINTR)
		;
}

/* -- packets ------------------------------------------------------------------------------------------------------- */

static void put(struct connection *self, char command, const void *data, size_t length)
{
	uint32_t size = htonl((uint32_t)length + 1);
	unsigned char *at = self->out + self->out_used;

	if (self->out_used + length + 5 > BUFFER)
		abort();
	memcpy(at, &size, 4);
	at[4] = (unsigned char)command;
	if (length)
		memcpy(at + 5, data, length);
	self->out_used += length + 5;
}

static int flush(struct connection *self)
{
	size_t sent = 0;

	while (sent < self->out_used) {
		ssize_t step = send(self->socket, self->out + sent, self->out_used - sent, MSG_NOSIGNAL);
		if (step <= 0)
			return -1;
		sent += (size_t)step;
	}
	self->out_used = 0;
	return 0;
}

/* The next packet: its command, with its data; -1 when none comes. */
static int get(struct connection *self, unsigned char **data, size_t *length)
{
	for (;;) {
		size_t left = self->in_used - self->in_read;
		uint32_t size = 0;
		if (left >= 4) {
			memcpy(&size, self->in + self->in_read, 4);
			size = ntohl(size);
			if (size == 0 || size > BUFFER - 4)
				return -1;
			if (left >= 4 + size) {
				unsigned char *packet = self->in + self->in_read + 4;
				self->in_read += 4 + size;
				*data = packet + 1;
				*length = size - 1;
				return packet[0];
			}
		}
		memmove(self->in, self->in + self->in_read, left);
		self->in_used = left;
		self->in_read = 0;
		ssize_t got = recv(self->socket, self->in + left, BUFFER - left, 0);
		if (got <= 0)
			return -1;
		self->in_used += (size_t)got;
	}
}

/* The reply that ends a step; -1 when none comes. */
static int reply(struct connection *self)
{
	unsigned char *data;
	size_t length;

	if (flush(self) < 0)
		return -1;
	for (;;) {
		int kind = get(self, &data, &length);
		switch (kind) {
		case 'p': /* progress */
		case 'm': /* change a header field */
		case 'q':
			break;
		case 'h':
		case 'i':
			self->fields++;
			break;
		default:
			return kind;
		}
	}
}

static int wanted(const struct connection *self, int stage, const char *name)
{
	size_t length = strlen(name);
	const char *list = self->list[stage];

	if (!self->has_list[stage])
		return 1;
	for (const char *at = list; (at = strstr(at, name)); at += length)
		if ((at == list || strchr(" ,", at[-1])) && (!at[length] || strchr(" ,", at[length])))
			return 1;
	return 0;
}

/* A step with its macros (pairs, up to a NULL): 'c' where no reply is due, else the reply. */
static int take(struct connection *self, const struct step *step, const void *data, size_t length, const char **macros)
{
	if (step->stage >= 0 && macros) {
		char packet[512];
		size_t used = 1;
		packet[0] = step->command;
		for (; macros[0]; macros += 2) {
			if (!wanted(self, step->stage, macros[0]))
				continue;
			used += (size_t)snprintf(packet + used, sizeof packet - used, "%s", macros[0]) + 1;
			used += (size_t)snprintf(packet + used, sizeof packet - used, "%s", macros[1]) + 1;
		}
		if (used > 1)
			put(self, 'D', packet, used);
	}
	if (self->steps & step->skip)
		return 'c';
	put(self, step->command, data, length);
	return self->steps & step->no_reply ? 'c' : reply(self);
}

/* -- a connection -------------------------------------------------------------------------------------------------- */

static void drop(struct connection *self)
{
	if (self->socket >= 0)
		close(self->socket);
	self->socket = -1;
	self->out_used = self->in_used = self->in_read = 0;
	self->sent_on_this = 0;
}

static int negotiate(struct connection *self)
{
	uint32_t offer[3] = {htonl(6), htonl(0x1FF), htonl(0x1FFFFF)};
	unsigned char *data;
	size_t length, at = 12;

	put(self, 'O', offer, sizeof offer);
	if (flush(self) < 0 || get(self, &data, &length) != 'O' || length < 12)
		return -1;
	memcpy(&self->steps, data + 8, 4);
	self->steps = ntohl(self->steps);
	memset(self->has_list, 0, sizeof self->has_list);
	while (at + 4 < length) {
		uint32_t stage;
		memcpy(&stage, data + at, 4);
		stage = ntohl(stage);
		size_t text = strnlen((char *)data + at + 4, length - at - 4);
		if (stage < 7) {
			self->has_list[stage] = 1;
			snprintf(self->list[stage], sizeof self->list[stage], "%.*s", (int)text, (char *)data + at + 4);
		}
		at += 4 + text + 1;
	}
	return 0;
}

/* Connect, negotiate, and tell of the client. */
static int dial(struct connection *self, long number)
{
	struct timeval limit = {.tv_sec = timeout_seconds};
	int on = 1, kind;
	char greeting[300], name[300], data[400], address[64];
	uint16_t port = htons(25252);
	size_t used;
	struct in_addr binary;

	self->socket = socket(peer.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (self->socket < 0 || connect(self->socket, (struct sockaddr *)&peer, peer_size) < 0)
		return -1;
	setsockopt(self->socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	if (peer.ss_family == AF_INET)
		setsockopt(self->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (negotiate(self) < 0)
		return -1;

	inet_pton(AF_INET, client, &binary);
	binary.s_addr = htonl(ntohl(binary.s_addr) + (uint32_t)(number % clients));
	inet_ntop(AF_INET, &binary, address, sizeof address);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(greeting, sizeof greeting, helo, (int)(cycle ? number % cycle : number));
	snprintf(name, sizeof name, client_name ? client_name : helo, (int)(cycle ? number % cycle : number));
#pragma GCC diagnostic pop
	const char *macros[] = {"j", "mx.example.net", "{client_addr}", address, NULL};
	used = (size_t)snprintf(data, sizeof data, "%s", name) + 1;
	data[used++] = '4';
	memcpy(data + used, &port, 2);
	used += 2;
	used += (size_t)snprintf(data + used, sizeof data - used, "%s", address) + 1;
	kind = take(self, &CONNECT, data, used, macros);
	if (kind == 'c')
		kind = take(self, &HELO, greeting, strlen(greeting) + 1, NULL);
	return kind == 'c' ? 0 : -1;
}

/* The rest of a message, from RCPT on: the last reply. */
static int content(struct connection *self, const char **macros)
{
	static const char rcpt[] = "<somebody@example.net>";
	int kind = take(self, &RCPT, rcpt, sizeof rcpt, macros);

	if (kind == 'c')
		kind = take(self, &DATA, NULL, 0, macros);
	for (int i = 0; i < headers && kind == 'c'; i++) {
		char field[200];
		size_t used = (size_t)snprintf(field, sizeof field, "X-Field-%d", i) + 1;
		used += (size_t)snprintf(field + used, sizeof field - used, "a value of some length, as header fields "
								     "have them, number %d", i) + 1;
		kind = take(self, &HEADER, field, used, NULL);
	}
	if (kind == 'c')
		kind = take(self, &EOH, NULL, 0, NULL);
	if (kind == 'c')
		kind = take(self, &BODY, body_text, (size_t)body, NULL);
	if (kind == 'c' || kind == 's')
		kind = take(self, &END, NULL, 0, macros);
	return kind;
}

/* One message; -1 where the connection failed. */
static int deliver(struct connection *self, long number, double begin)
{
	char id[32], sender[300];
	const char *macros[] = {"i", id, "{client_addr}", client, NULL};
	long own = number / pattern_count;
	double sent;
	int kind;

	if (self->socket < 0 && dial(self, number) < 0)
		return -1;
	snprintf(id, sizeof id, "Q%08lX", number);
	sender[0] = '<';
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(sender + 1, sizeof sender - 2, patterns[number % pattern_count], (int)(cycle ? own % cycle : own));
#pragma GCC diagnostic pop
	strcat(sender, ">");
	sent = now();
	kind = take(self, &MAIL, sender, strlen(sender) + 1, macros);
	if (kind < 0)
		return -1;
	self->mail_ms[self->mail_count++] = (now() - sent) * 1000;
	self->mail_kinds[kind % KINDS]++;
	if (kind == 'c')
		kind = content(self, macros);
	if (kind < 0)
		return -1;
	self->end_kinds[kind % KINDS]++;
	if (kind != 'c')
		put(self, 'A', NULL, 0);
	if (per_connection && ++self->sent_on_this >= per_connection) {
		put(self, 'Q', NULL, 0);
		flush(self);
		drop(self);
	}
	self->message_ms[self->count++] = (now() - begin) * 1000;
	return 0;
}

static void *run(void *argument)
{
	struct connection *self = argument;
	int failed = 0;

	while (failed < GIVE_UP) {
		long number = atomic_fetch_add(&next_number, 1);
		double begin;
		if (number >= messages)
			break;
		if (rate > 0)
			sleep_until(started + (double)number / rate);
		begin = rate > 0 ? started + (double)number / rate : now();
		if (seconds > 0 && begin - started >= seconds)
			break;
		if (self->mail_count == self->space) {
			self->space = self->space ? 2 * self->space : 1024;
			self->message_ms = realloc(self->message_ms, self->space * sizeof(double));
			self->mail_ms = realloc(self->mail_ms, self->space * sizeof(double));
			if (!self->message_ms || !self->mail_ms)
				abort();
		}
		if (deliver(self, start_number + number, begin) < 0) {
			drop(self);
			self->errors++;
			failed++;
			usleep(10000);
		} else {
			failed = 0;
		}
	}
	if (self->socket >= 0) {
		put(self, 'Q', NULL, 0);
		flush(self);
	}
	drop(self);
	return NULL;
}

/* -- what came of it ----------------------------------------------------------------------------------------------- */

static int by_size(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return (a > b) - (a < b);
}

static void print_latencies(const char *name, double *all, size_t count)
{
	const double parts[] = {0.5, 0.9, 0.99, 1};
	const char *names[] = {"p50", "p90", "p99", "max"};

	qsort(all, count, sizeof *all, by_size);
	printf(", \"%s\": {", name);
	for (int i = 0; i < 4; i++) {
		size_t at = (size_t)(parts[i] * (double)count);
		printf("%s\"%s\": %.3f", i ? ", " : "", names[i], count ? all[at < count ? at : count - 1] : 0);
	}
	printf("}");
}

static void print_kinds(const char *name, const unsigned long *kinds)
{
	int some = 0;

	printf(", \"%s\": {", name);
	for (int kind = 0; kind < KINDS; kind++)
		if (kinds[kind])
			printf("%s\"%c\": %lu", some++ ? ", " : "", kind, kinds[kind]);
	printf("}");
}

static void report(struct connection *all, double took)
{
	struct connection sum = {0};

	for (int i = 0; i < connections; i++) {
		sum.count += all[i].count;
		sum.mail_count += all[i].mail_count;
		sum.fields += all[i].fields;
		sum.errors += all[i].errors;
		for (int kind = 0; kind < KINDS; kind++) {
			sum.mail_kinds[kind] += all[i].mail_kinds[kind];
			sum.end_kinds[kind] += all[i].end_kinds[kind];
		}
	}
	sum.message_ms = calloc(sum.count + 1, sizeof(double));
	sum.mail_ms = calloc(sum.mail_count + 1, sizeof(double));
	if (!sum.message_ms || !sum.mail_ms)
		abort();
	sum.count = sum.mail_count = 0;
	for (int i = 0; i < connections; i++) {
		if (all[i].count)
			memcpy(sum.message_ms + sum.count, all[i].message_ms, all[i].count * sizeof(double));
		if (all[i].mail_count)
			memcpy(sum.mail_ms + sum.mail_count, all[i].mail_ms, all[i].mail_count * sizeof(double));
		sum.count += all[i].count;
		sum.mail_count += all[i].mail_count;
	}
	printf("{\"messages\": %zu, \"seconds\": %.4f, \"rate\": %.1f, \"errors\": %lu, \"fields\": %lu", sum.count, took,
	       (double)sum.count / took, sum.errors, sum.fields);
	print_latencies("message_ms", sum.message_ms, sum.count);
	print_latencies("mail_ms", sum.mail_ms, sum.mail_count);
	print_kinds("mail_replies", sum.mail_kinds);
	print_kinds("end_replies", sum.end_kinds);
	puts("}");
}

/* -- the command line ---------------------------------------------------------------------------------------------- */

static void usage(void)
{
	fputs("usage: load --socket unix:PATH|inet:PORT@ADDRESS --sender PATTERN [--sender PATTERN]...\n"
	      "  --connections N      at once (8)\n"
	      "  --per-connection N   messages on a connection before a new one is made (0: all on one)\n"
	      "  --messages N         at most (1000)      --seconds S   at most (no limit)\n"
	      "  --rate R             messages a second, counted from when each was due (as fast as it goes)\n"
	      "  --start N            number of the first message (0)\n"
	      "  --cycle N            a pattern's numbers begin anew after N (never)\n"
	      "  --helo PATTERN (mta) --name PATTERN  the client's name in DNS (as --helo)\n"
	      "  --client ADDRESS (192.0.2.10)        --clients N of consecutive addresses (1)\n"
	      "  --headers N (20)     --body OCTETS (2048) --timeout SECONDS (60)\n",
	      stderr);
	exit(64);
}

static void set_peer(const char *text)
{
	struct sockaddr_un *local = (struct sockaddr_un *)&peer;
	struct sockaddr_in *inet = (struct sockaddr_in *)&peer;
	char *end;

	if (strncmp(text, "unix:", 5) == 0 && strlen(text + 5) < sizeof local->sun_path) {
		local->sun_family = AF_UNIX;
		strcpy(local->sun_path, text + 5);
		peer_size = sizeof *local;
		return;
	}
	inet->sin_family = AF_INET;
	peer_size = sizeof *inet;
	if (strncmp(text, "inet:", 5) != 0)
		usage();
	inet->sin_port = htons((uint16_t)strtoul(text + 5, &end, 10));
	if (*end != '@' || inet_pton(AF_INET, end + 1, &inet->sin_addr) != 1)
		usage();
}

static void parse(int count, char **arguments)
{
	static const struct option options[] = {
		{"socket", 1, 0, 's'},	{"sender", 1, 0, 'f'},	{"connections", 1, 0, 'n'}, {"per-connection", 1, 0, 'p'},
		{"messages", 1, 0, 'm'}, {"seconds", 1, 0, 't'}, {"rate", 1, 0, 'r'},	     {"start", 1, 0, 'b'},
		{"cycle", 1, 0, 'c'},	{"helo", 1, 0, 'h'},	{"name", 1, 0, 'd'},	{"client", 1, 0, 'a'},	     {"clients", 1, 0, 'k'},
		{"headers", 1, 0, 'l'}, {"body", 1, 0, 'o'},	{"timeout", 1, 0, 'w'},	     {0, 0, 0, 0}};

	for (int option; (option = getopt_long(count, arguments, "", options, NULL)) != -1;) {
		switch (option) {
		case 's': set_peer(optarg); break;
		case 'f':
			if (pattern_count == PATTERNS || strlen(optarg) > 200)
				usage();
			patterns[pattern_count++] = optarg;
			break;
		case 'n': connections = atoi(optarg); break;
		case 'p': per_connection = atoi(optarg); break;
		case 'm': messages = atol(optarg); break;
		case 't': seconds = atof(optarg); break;
		case 'r': rate = atof(optarg); break;
		case 'b': start_number = atol(optarg); break;
		case 'c': cycle = atol(optarg); break;
		case 'h': helo = optarg; break;
		case 'd': client_name = optarg; break;
		case 'a': client = optarg; break;
		case 'k': clients = atoi(optarg); break;
		case 'l': headers = atoi(optarg); break;
		case 'o': body = atoi(optarg); break;
		case 'w': timeout_seconds = atoi(optarg); break;
		default: usage();
		}
	}
	if (!peer_size || !pattern_count || connections < 1 || connections > 4000 || clients < 1 || body < 0 ||
	    body > (int)sizeof body_text - 1 || headers < 0 || headers > 200)
		usage();
}

int main(int count, char **arguments)
{
	struct connection *all;

	parse(count, arguments);
	memset(body_text, 'x', sizeof body_text);
	for (size_t i = 76; i + 1 < sizeof body_text; i += 78)
		memcpy(body_text + i, "\r\n", 2);
	all = calloc((size_t)connections, sizeof *all);
	if (!all)
		return 70;
	started = now();
	for (int i = 0; i < connections; i++) {
		all[i].socket = -1;
		if (pthread_create(&all[i].thread, NULL, run, &all[i]) != 0)
			return 70;
	}
	for (int i = 0; i < connections; i++)
		pthread_join(all[i].thread, NULL);
	report(all, now() - started);
	return 0;
}
