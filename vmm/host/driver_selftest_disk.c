/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A disk, tried: 32 requests at once, of all lengths, whose memory is in one piece or in many, on no boundary but
 * that which requests have to be on.
 */
#include "lib/printk.h"
#include "lib/string.h"
#include "lib/x86.h"
#include "vmm/host/driver_selftest.h"
#include "vmm/host/mem.h"
#include "vmm/host/tsc.h"

#define DEPTH        32u
#define JOB_SECTORS  128u /* of one request, at most */
#define JOB_SEGMENTS 16u
#define JOB_GAP      256u /* bytes between two segments, at most */
#define JOB_MEMORY   (JOB_SECTORS * BLOCK_SECTOR + PAGE_SIZE + JOB_SEGMENTS * JOB_GAP)
#define SPAN         MIB(16) /* of the disk, at most, is looked at */
#define WAIT_SECONDS 120u

struct job {
	struct block_request request;
	struct block_segment segment[JOB_SEGMENTS];
	struct trial *trial;
	u64 sector; /* a partition changes the request's own */
	u8 *memory; /* JOB_MEMORY bytes */
	bool busy;
};

struct trial {
	const struct block_device *dev;
	const char *name;
	struct job job[DEPTH];
	u64 random;
	u64 requests, by_interrupt;
	unsigned int busy;
	u64 next_poll;
	const char *fault; /* what was the first to go wrong, and where */
	u64 fault_sector;
};

static void fault(struct trial *t, const char *what, u64 sector)
{
	if (t->fault)
		return;
	t->fault = what;
	t->fault_sector = sector;
}

/* George Marsaglia's xorshift: the same numbers in each run. */
static u64 random(struct trial *t, u64 below)
{
	t->random ^= t->random << 13;
	t->random ^= t->random >> 7;
	t->random ^= t->random << 17;
	return t->random % below;
}

/* What belongs into the @word-th 8 bytes of the partition. */
static u64 pattern(u64 word)
{
	return (word + 1) * 0x9e3779b97f4a7c15ULL ^ word >> 7;
}

/* --- a request's memory --- */

static void one_segment(struct job *j, u64 bytes)
{
	j->segment[0] = (struct block_segment){ (hpa_t)(uintptr_t)j->memory, (u32)bytes };
	j->request.segments = 1;
}

/* Cut at random sectors, each piece a little behind the end of the one before it. */
static void many_segments(struct job *j, u64 bytes)
{
	struct trial *t = j->trial;
	hpa_t at = (hpa_t)(uintptr_t)j->memory + BLOCK_ADDRESS_UNIT * random(t, PAGE_SIZE / 4);
	unsigned int n = 0;

	for (u64 len; bytes; bytes -= len) {
		len = BLOCK_SECTOR * (1 + random(t, JOB_SECTORS / 8));
		if (len > bytes || n == JOB_SEGMENTS - 1)
			len = bytes;
		at += BLOCK_ADDRESS_UNIT * random(t, JOB_GAP / BLOCK_ADDRESS_UNIT);
		j->segment[n++] = (struct block_segment){ at, (u32)len };
		at += len;
	}
	j->request.segments = n;
}

static void fill_or_check(struct job *j, bool check)
{
	u64 word = j->sector * (BLOCK_SECTOR / sizeof(u64));

	for (unsigned int i = 0; i < j->request.segments; i++) {
		u8 *at = (u8 *)(uintptr_t)j->segment[i].hpa;

		for (u32 b = 0; b < j->segment[i].len; b += sizeof(u64), word++) {
			u64 right = pattern(word), found;

			if (!check)
				memcpy(at + b, &right, sizeof(right));
			memcpy(&found, at + b, sizeof(found));
			if (found != right)
				fault(j->trial, "wrong data", word / (BLOCK_SECTOR / sizeof(u64)));
		}
	}
}

/* --- requests --- */

static void ended(struct block_request *request, enum block_result result)
{
	struct job *j = container_of(request, struct job, request);
	struct trial *t = j->trial;

	j->busy = false;
	t->busy--;
	t->requests++;
	if (!driver_selftest_polls())
		t->by_interrupt++;
	if (result != BLOCK_OK)
		fault(t, result == BLOCK_UNSUPPORTED ? "not supported" : "I/O error", j->sector);
}

/* What it is to do; its memory comes next. */
static void prepare(struct job *j, enum block_op op, u64 sector, u64 sectors)
{
	j->request = (struct block_request){ .op = op, .sector = sector, .sectors = sectors };
	j->sector = sector;
}

static void submit(struct job *j)
{
	struct trial *t = j->trial;
	enum block_result result;

	j->request.segment = j->segment;
	j->request.done = ended;
	j->busy = true;
	t->busy++;
	result = block_submit(t->dev, &j->request);
	if (result != BLOCK_PENDING)
		ended(&j->request, result);
}

static void poll(void *ctx)
{
	block_poll(ctx);
}

/* Until at most @left are under way. False: that never comes, and the memory has to be left to the disk. */
static bool wait(struct trial *t, unsigned int left)
{
	u64 deadline = rdtsc() + WAIT_SECONDS * tsc_hz();

	while (t->busy > left) {
		driver_selftest_wait(poll, (void *)(uintptr_t)t->dev, &t->next_poll);
		if (rdtsc() >= deadline) {
			fault(t, "no answer", 0);
			return false;
		}
	}
	return true;
}

static struct job *idle_job(struct trial *t)
{
	if (!wait(t, DEPTH - 1))
		return NULL;
	for (unsigned int i = 0; i < DEPTH; i++) {
		if (!t->job[i].busy)
			return &t->job[i];
	}
	return NULL;
}

/* One request without data. */
static void simple(struct trial *t, enum block_op op, u64 sector, u64 sectors)
{
	if (t->fault)
		return;
	prepare(&t->job[0], op, sector, sectors);
	submit(&t->job[0]);
	wait(t, 0);
}

/* --- passes --- */

static u64 piece(struct trial *t, u64 left)
{
	u64 unit = t->dev->block_size / BLOCK_SECTOR;
	u64 len = unit * (1 + random(t, JOB_SECTORS / unit));

	return MIN(left, len);
}

/* What a job has read is looked at when its turn comes again: it must not be while it is under way. */
static void look(struct job *j)
{
	if (j->request.op == BLOCK_READ && j->request.segments && !j->trial->fault)
		fill_or_check(j, true);
	j->request.segments = 0;
}

/* @sectors from @first on, written with the pattern or read and compared, in pieces. */
static void run_pass(struct trial *t, enum block_op op, u64 first, u64 sectors)
{
	for (u64 at = first, len; at < first + sectors && !t->fault; at += len) {
		struct job *j = idle_job(t);

		len = piece(t, first + sectors - at);
		if (!j)
			return;
		look(j);
		prepare(j, op, at, len);
		if (random(t, 2))
			many_segments(j, len * BLOCK_SECTOR);
		else
			one_segment(j, len * BLOCK_SECTOR);
		if (op == BLOCK_WRITE)
			fill_or_check(j, false);
		submit(j);
	}
	if (!wait(t, 0))
		return;
	for (unsigned int i = 0; i < DEPTH; i++)
		look(&t->job[i]);
}

static void check_zero(struct trial *t, u64 sector, u64 sectors)
{
	struct job *j = &t->job[0];

	for (u64 len; sectors && !t->fault; sector += len, sectors -= len) {
		len = MIN(sectors, (u64)JOB_SECTORS);
		prepare(j, BLOCK_READ, sector, len);
		one_segment(j, len * BLOCK_SECTOR);
		memset(j->memory, 0xff, len * BLOCK_SECTOR);
		submit(j);
		if (!wait(t, 0))
			return;
		for (u64 i = 0; i < len * BLOCK_SECTOR; i++) {
			if (j->memory[i])
				fault(t, "not zero", sector + i / BLOCK_SECTOR);
		}
	}
	j->request.segments = 0;
}

/* The middle half loses its data, and what is around it keeps them. */
static void try_discard(struct trial *t, u64 sectors)
{
	u64 quarter = ALIGN_DOWN(sectors / 4, (u64)8);

	if (t->dev->can_discard)
		simple(t, BLOCK_DISCARD, quarter, 2 * quarter);
	if (t->dev->can_write_zeroes) {
		simple(t, BLOCK_WRITE_ZEROES, quarter, 2 * quarter);
		check_zero(t, quarter, 2 * quarter);
	}
	run_pass(t, BLOCK_READ, 0, quarter);
	run_pass(t, BLOCK_READ, 3 * quarter, sectors - 3 * quarter);
}

static void try_writing(struct trial *t, u64 sectors)
{
	run_pass(t, BLOCK_WRITE, 0, sectors);
	simple(t, BLOCK_FLUSH, 0, 0);
	run_pass(t, BLOCK_READ, 0, sectors);
	try_discard(t, sectors);
	run_pass(t, BLOCK_WRITE, 0, sectors);
	simple(t, BLOCK_FLUSH, 0, 0);
	run_pass(t, BLOCK_READ, 0, sectors);
}

/* The same sectors twice, once in one piece and once in many: they do not change. */
static void try_reading(struct trial *t, u64 sectors)
{
	struct job *a = &t->job[0], *b = &t->job[1];

	for (u64 at = 0, len; at < sectors && !t->fault; at += len) {
		u8 *first = a->memory;

		len = piece(t, sectors - at);
		prepare(a, BLOCK_READ, at, len);
		prepare(b, BLOCK_READ, at, len);
		one_segment(a, len * BLOCK_SECTOR);
		many_segments(b, len * BLOCK_SECTOR);
		submit(a);
		submit(b);
		if (!wait(t, 0))
			return;
		for (unsigned int i = 0; i < b->request.segments && !t->fault; i++) {
			const void *second = (const void *)(uintptr_t)b->segment[i].hpa;

			if (memcmp(first, second, b->segment[i].len))
				fault(t, "two readings differ", at);
			first += b->segment[i].len;
		}
	}
}

static void report(const struct trial *t, bool write)
{
	if (t->fault)
		pr_err("selftest: disk %s: %llu requests, FAILED: %s at sector %llu\n", t->name,
		       (unsigned long long)t->requests, t->fault,
		       (unsigned long long)t->fault_sector);
	else
		pr_info("selftest: disk %s: %llu requests, ok (%s, %llu by interrupt)\n", t->name,
			(unsigned long long)t->requests, write ? "written" : "read only",
			(unsigned long long)t->by_interrupt);
}

void driver_selftest_disk(const char *name, const struct block_device *dev, bool write)
{
	u64 bytes = ALIGN_UP(sizeof(struct trial), PAGE_SIZE) + DEPTH * JOB_MEMORY;
	u64 sectors = MIN(dev->sectors, SPAN / BLOCK_SECTOR);
	hpa_t memory = mem_alloc(bytes, PAGE_SIZE, MEM_OWNER_VMM);
	struct trial *t = (struct trial *)(uintptr_t)memory;

	if (!memory) {
		pr_err("selftest: disk %s: no memory\n", name);
		return;
	}
	memset(t, 0, sizeof(*t));
	t->dev = dev;
	t->name = name;
	t->random = 0x2545f4914f6cdd1dULL;
	for (unsigned int i = 0; i < DEPTH; i++) {
		t->job[i].trial = t;
		t->job[i].memory = (u8 *)(uintptr_t)memory +
				   ALIGN_UP(sizeof(struct trial), PAGE_SIZE) + i * JOB_MEMORY;
	}
	sectors = ALIGN_DOWN(sectors, (u64)(dev->block_size / BLOCK_SECTOR));
	if (write)
		try_writing(t, sectors);
	else
		try_reading(t, sectors);
	report(t, write);
	/* What has never ended may still be written to. */
	if (!t->busy)
		mem_free(memory, ALIGN_UP(bytes, PAGE_SIZE), MEM_OWNER_VMM);
}
