/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * For tests that cut the power: appends records, makes them durable, and says so.
 *
 *   durable write FOLDER      appends for ever; prints `durable N` once records 1 to N are on the disk
 *   durable check FOLDER      prints `intact N`: records 1 to N can be read
 *
 * A file holds up to 64 records and is named after its first. Every 16th record the name `head` is
 * given, by rename, to a new file with the number of that record in it. What the last run
 * wrote and nobody was told of may be torn; the next run goes on after the last good record, in a
 * file of its own. tests/machine/support/durable.py reads the same format on the host.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAGIC            0x4c425244u /* "DRBL" */
#define RECORDS_PER_FILE 64
#define RECORDS_PER_HEAD 16
#define MAX_PAYLOAD      16384

struct record {
	uint32_t magic;
	uint32_t size; /* of the payload */
	uint64_t number;
	uint32_t crc; /* of the payload */
	uint32_t zero;
	uint8_t payload[MAX_PAYLOAD];
};

#define HEADER offsetof(struct record, payload)

_Static_assert(HEADER == 24, "the format of the files");

static void must(int good, const char *what)
{
	if (good)
		return;
	printf("durable: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* The CRC-32 of Ethernet and zlib. */
static uint32_t crc32(const uint8_t *data, size_t size)
{
	uint32_t crc = ~0u;

	while (size--) {
		crc ^= *data++;
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
	}
	return ~crc;
}

/* Sizes and contents follow from the number, so that a run can be repeated. */
static size_t fill(struct record *record, uint64_t number)
{
	uint64_t state = number * 0x9e3779b97f4a7c15u | 1;

	record->magic = MAGIC;
	record->number = number;
	record->zero = 0;
	record->size = (uint32_t)(number % 8 ? state >> 40 & 0xfff : MAX_PAYLOAD);
	for (uint32_t i = 0; i < record->size; i++) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		record->payload[i] = (uint8_t)state;
	}
	record->crc = crc32(record->payload, record->size);
	return HEADER + record->size;
}

/* The number of the last good record in the file that begins with @first; @first - 1 if none. */
static uint64_t scan(uint64_t first)
{
	static struct record record;
	char name[32];
	uint64_t number = first;
	FILE *file;

	snprintf(name, sizeof(name), "log-%08llu", (unsigned long long)first);
	file = fopen(name, "r");
	if (!file)
		return first - 1;
	while (number < first + RECORDS_PER_FILE && fread(&record, HEADER, 1, file) == 1 &&
	       record.magic == MAGIC && record.number == number && record.size <= MAX_PAYLOAD &&
	       fread(record.payload, 1, record.size, file) == record.size &&
	       crc32(record.payload, record.size) == record.crc)
		number++;
	fclose(file);
	return number - 1;
}

static uint64_t last_intact(void)
{
	uint64_t last = 0, next;

	while ((next = scan(last + 1)) > last)
		last = next;
	return last;
}

static void sync_folder(void)
{
	int folder = open(".", O_RDONLY | O_DIRECTORY);

	must(folder >= 0, "open the folder");
	must(fsync(folder) == 0, "fsync of the folder");
	close(folder);
}

static void write_head(uint64_t number)
{
	int file = open("head.new", O_WRONLY | O_CREAT | O_TRUNC, 0644);

	must(file >= 0, "head.new");
	must(dprintf(file, "%llu\n", (unsigned long long)number) > 0, "write head.new");
	must(fsync(file) == 0, "fsync of head.new");
	close(file);
	must(rename("head.new", "head") == 0, "rename");
	sync_folder();
}

/* Records @first and on into one file, each flushed by one of the two calls that promise it. */
static void write_file(uint64_t first)
{
	static struct record record;
	char name[32];
	int file;

	snprintf(name, sizeof(name), "log-%08llu", (unsigned long long)first);
	file = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	must(file >= 0, name);
	sync_folder();
	for (uint64_t number = first; number < first + RECORDS_PER_FILE; number++) {
		size_t size = fill(&record, number);

		must(write(file, &record, size) == (ssize_t)size, "write");
		must((number % 2 ? fsync(file) : fdatasync(file)) == 0, "fsync");
		if (number % RECORDS_PER_HEAD == 0)
			write_head(number);
		printf("durable %llu\n", (unsigned long long)number);
		fflush(stdout);
	}
	close(file);
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: durable write|check FOLDER\n");
		return 2;
	}
	must(chdir(argv[2]) == 0, argv[2]);
	uint64_t last = last_intact();

	printf("intact %llu\n", (unsigned long long)last);
	if (!strcmp(argv[1], "check"))
		return 0;
	for (;; last += RECORDS_PER_FILE)
		write_file(last + 1);
}
