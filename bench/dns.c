/*
 * A DNS server for benchmarks: quick enough to be no part of what is measured, with a delay as of a network.
 *
 * It answers over UDP from a file of lines "OWNER TYPE DATA". A label "*" in an owner stands for any one label; an "@"
 * in the data is then replaced by that label, so that every number makes a domain of its own. Types: A, MX ("10 host"),
 * TXT, and DEAD: never answered. No TCP: every answer has to fit into 512 octets, which is checked at the start.
 * "count.bench" TXT is answered with the number of other queries so far.
 *
 * Usage: dns HOST PORT DELAY_MS TTL FILE; writes "ready" when it answers, ends on SIGTERM.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { A = 1, SOA = 6, MX = 15, TXT = 16, DEAD = 65535 };
enum { BUCKETS = 4096, QUEUE = 1 << 16, PACKET = 768, LIMIT = 512, NAME = 256, LABELS = 128 };

struct record {
	int type;
	char *data;
	struct record *next;
};

struct node {
	char *name;
	struct record *records;
	struct node *next;
};

struct pending { /* an answer that is not due yet */
	struct timespec due;
	struct sockaddr_in to;
	int length;
	unsigned char packet[PACKET];
};

static struct node *buckets[BUCKETS];
static struct pending *queue;
static unsigned first, last; /* of the queue; the delay is the same for all, so it is in order */
static unsigned long asked;
static unsigned ttl;

static void die(const char *what)
{
	fprintf(stderr, "dns: %s: %s\n", what, strerror(errno));
	exit(70);
}

static struct node **slot(const char *name)
{
	unsigned hash = 2166136261u;
	struct node **place;

	for (const char *c = name; *c; c++)
		hash = (hash ^ (unsigned char)*c) * 16777619u;
	for (place = &buckets[hash % BUCKETS]; *place && strcmp((*place)->name, name) != 0; place = &(*place)->next)
		;
	return place;
}

static void add(const char *owner, int type, const char *data)
{
	struct node **place = slot(owner);
	struct record **end, *record = calloc(1, sizeof *record);

	if (!*place) {
		*place = calloc(1, sizeof **place);
		if (!*place || !((*place)->name = strdup(owner)))
			die(owner);
	}
	if (!record || !(record->data = strdup(data)))
		die(owner);
	record->type = type;
	for (end = &(*place)->records; *end; end = &(*end)->next)
		;
	*end = record;
}

static void load(const char *path)
{
	char line[2048], owner[NAME], type[16];
	int data;
	FILE *file = fopen(path, "r");

	if (!file)
		die(path);
	while (fgets(line, sizeof line, file)) {
		line[strcspn(line, "\n")] = 0;
		if (sscanf(line, "%255s %15s %n", owner, type, &data) < 2)
			continue;
		int number = !strcmp(type, "A") ? A : !strcmp(type, "MX") ? MX : !strcmp(type, "TXT") ? TXT : DEAD;
		if (strlen(line + data) > 380) {
			fprintf(stderr, "dns: the data of %s do not fit into a packet\n", owner);
			exit(65);
		}
		add(owner, number, line + data);
	}
	fclose(file);
}

static unsigned char *put16(unsigned char *at, unsigned value)
{
	*at++ = (unsigned char)(value >> 8);
	*at++ = (unsigned char)value;
	return at;
}

static unsigned char *put_name(unsigned char *at, const char *name)
{
	while (*name) {
		size_t length = strcspn(name, ".");
		*at++ = (unsigned char)length;
		memcpy(at, name, length);
		at += length;
		name += length + (name[length] == '.');
	}
	*at++ = 0;
	return at;
}

static unsigned char *put_rdata(unsigned char *at, int type, const char *data)
{
	if (type == A) {
		if (inet_pton(AF_INET, data, at) != 1) {
			fprintf(stderr, "dns: not an address: %s\n", data);
			exit(65);
		}
		return at + 4;
	}
	if (type == MX) {
		char *host;
		at = put16(at, (unsigned)strtoul(data, &host, 10));
		return put_name(at, host + 1);
	}
	for (size_t left = strlen(data); left;) {
		size_t length = left < 255 ? left : 255;
		*at++ = (unsigned char)length;
		memcpy(at, data, length);
		at += length;
		data += length;
		left -= length;
	}
	return at;
}

/* The data with the label that the owner's "*" stood for. */
static const char *filled(const char *data, const char *label, char *buffer, size_t size)
{
	size_t used = 0, length = strlen(label);

	for (; *data && used + length + 1 < size; data++) {
		if (*data == '@') {
			memcpy(buffer + used, label, length);
			used += length;
		} else {
			buffer[used++] = *data;
		}
	}
	buffer[used] = 0;
	return buffer;
}

static struct node *find(const char *name, const size_t *labels, int count, char *label)
{
	struct node *node = *slot(name);
	char pattern[NAME + 2];

	*label = 0;
	for (int i = 0; i < count && !node; i++) {
		size_t length = strcspn(name + labels[i], ".");
		memcpy(pattern, name, labels[i]);
		pattern[labels[i]] = '*';
		strcpy(pattern + labels[i] + 1, name + labels[i] + length);
		node = *slot(pattern);
		memcpy(label, name + labels[i], length);
		label[length] = 0;
	}
	return node;
}

/* The answer to a query, in place; its length, 0 where there is none. */
static int answer(unsigned char *packet, int length)
{
	char name[NAME], label[64], buffer[1024];
	size_t labels[LABELS], used = 0;
	int at = 12, count = 0, type, answers = 0, rcode = 0, edns;
	unsigned char *end, *size;
	struct node *node;

	if (length < 17 || packet[2] & 0xF8 || packet[4] || packet[5] != 1)
		return 0;
	while (at < length && packet[at]) {
		int step = packet[at];
		if (step > 63 || at + step + 6 > length || used + (size_t)step + 2 > NAME || count == LABELS)
			return 0;
		if (used)
			name[used++] = '.';
		labels[count++] = used;
		for (int i = 1; i <= step; i++)
			name[used++] = (char)tolower(packet[at + i]);
		at += step + 1;
	}
	name[used] = 0;
	if (at + 5 > length)
		return 0;
	type = packet[at + 1] << 8 | packet[at + 2];
	edns = packet[11] && at + 16 <= length;
	end = packet + at + 5;

	if (strcmp(name, "count.bench") == 0) {
		snprintf(buffer, sizeof buffer, "%lu", asked);
		end = put16(put16(put16(put16(put16(end, 0xC00C), TXT), 1), 0), 0);
		end = put16(end, (unsigned)strlen(buffer) + 1);
		end = put_rdata(end, TXT, buffer);
		answers = 1;
	} else {
		asked++;
		node = find(name, labels, count, label);
		for (struct record *record = node ? node->records : NULL; record; record = record->next) {
			if (record->type == DEAD)
				return 0;
			if (record->type != type)
				continue;
			end = put16(put16(put16(end, 0xC00C), (unsigned)type), 1);
			end = put16(put16(end, ttl >> 16), ttl & 0xFFFF);
			size = end;
			end = put_rdata(end + 2, type, filled(record->data, label, buffer, sizeof buffer));
			put16(size, (unsigned)(end - size - 2));
			answers++;
			if (end - packet > LIMIT - 11) {
				fprintf(stderr, "dns: the answer for %s is too long\n", name);
				exit(65);
			}
		}
		rcode = node ? 0 : 3;
	}
	if (!answers) { /* a SOA of the root, which says how long there is nothing */
		*end++ = 0;
		end = put16(put16(put16(put16(end, SOA), 1), 0), 300);
		size = end;
		end = put_name(put_name(end + 2, "ns.bench"), "hostmaster.bench");
		for (int i = 0; i < 5; i++)
			end = put16(put16(end, 0), 300);
		put16(size, (unsigned)(end - size - 2));
	}
	packet[2] = (unsigned char)(0x84 | (packet[2] & 1));
	packet[3] = (unsigned char)(0x80 | rcode);
	put16(put16(put16(packet + 6, (unsigned)answers), !answers), (unsigned)edns);
	if (edns) {
		static const unsigned char opt[11] = {0, 0, 41, 4, 208};
		memcpy(end, opt, sizeof opt);
		end += sizeof opt;
	}
	return (int)(end - packet);
}

static int is_due(const struct timespec *due, struct timespec *left)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	left->tv_sec = due->tv_sec - now.tv_sec;
	left->tv_nsec = due->tv_nsec - now.tv_nsec;
	if (left->tv_nsec < 0) {
		left->tv_sec--;
		left->tv_nsec += 1000000000;
	}
	return left->tv_sec < 0 || (left->tv_sec == 0 && left->tv_nsec == 0);
}

static void serve(int server, long delay)
{
	struct pollfd wait = {.fd = server, .events = POLLIN};
	struct timespec left;

	for (;;) {
		while (first != last && is_due(&queue[first % QUEUE].due, &left)) {
			struct pending *ready = &queue[first++ % QUEUE];
			sendto(server, ready->packet, (size_t)ready->length, 0, (struct sockaddr *)&ready->to,
			       sizeof ready->to);
		}
		if (ppoll(&wait, 1, first != last ? &left : NULL, NULL) <= 0)
			continue;
		for (int i = 0; i < 32 && last - first < QUEUE; i++) {
			struct pending *fresh = &queue[last % QUEUE];
			socklen_t size = sizeof fresh->to;
			ssize_t got = recvfrom(server, fresh->packet, LIMIT, 0, (struct sockaddr *)&fresh->to, &size);
			if (got < 0)
				break;
			fresh->length = answer(fresh->packet, (int)got);
			if (!fresh->length)
				continue;
			if (!delay) {
				sendto(server, fresh->packet, (size_t)fresh->length, 0, (struct sockaddr *)&fresh->to, size);
				continue;
			}
			clock_gettime(CLOCK_MONOTONIC, &fresh->due);
			fresh->due.tv_nsec += delay % 1000 * 1000000;
			fresh->due.tv_sec += delay / 1000 + fresh->due.tv_nsec / 1000000000;
			fresh->due.tv_nsec %= 1000000000;
			last++;
		}
	}
}

int main(int count, char **arguments)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	int server = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), space = 8 << 20;

	if (count != 6 || inet_pton(AF_INET, arguments[1], &address.sin_addr) != 1) {
		fprintf(stderr, "usage: dns HOST PORT DELAY_MS TTL FILE\n");
		return 64;
	}
	address.sin_port = htons((unsigned short)atoi(arguments[2]));
	ttl = (unsigned)atoi(arguments[4]);
	load(arguments[5]);
	queue = calloc(QUEUE, sizeof *queue);
	if (!queue || server < 0)
		die("start");
	setsockopt(server, SOL_SOCKET, SO_RCVBUF, &space, sizeof space);
	if (bind(server, (struct sockaddr *)&address, sizeof address) < 0)
		die(arguments[1]);
	puts("ready");
	fflush(stdout);
	serve(server, atol(arguments[3]));
}
