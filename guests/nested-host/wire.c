/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A wire between the emulator's network card and QEMU: each frame that the 82540EM receives goes as a datagram to QEMU's end on 127.0.0.1, and
 * each datagram from there is sent. So the card that Lintel has is, to whoever is outside, the emulator's. Debian's kernel for clouds has no
 * driver for that card, hence one in user space, by polling: a millisecond is as often as the emulator looks for frames itself.
 *
 *	wire PCI-ADDRESS PORT		QEMU is at 127.0.0.1:PORT, this program at the next port
 *
 * Registers and descriptors: Intel's "PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual". A page of 2 MiB must be free.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	CTRL = 0x0000,
	CTRL_SLU = 1 << 6,
	CTRL_RST = 1 << 26,
	IMC = 0x00d8,
	RCTL = 0x0100,
	RCTL_EN = 1 << 1,
	RCTL_UPE = 1 << 3,
	RCTL_MPE = 1 << 4,
	RCTL_BAM = 1 << 15,
	RCTL_SECRC = 1 << 26,
	TCTL = 0x0400,
	TCTL_EN = 1 << 1,
	TCTL_PSP = 1 << 3,
	TCTL_COLLISIONS = 0x10 << 4 | 0x40 << 12,
	RX_RING = 0x2800,
	TX_RING = 0x3800, /* of each: base low, base high, length, -, head, -, tail */
	RING_LOW = 0x00,
	RING_HIGH = 0x04,
	RING_LENGTH = 0x08,
	RING_HEAD = 0x10,
	RING_TAIL = 0x18,
	DONE = 1,
	RX_END = 2,
	TX_END_SUM_REPORT = 1 | 2 | 8,
	PCI_COMMAND = 4,
	PCI_MEMORY_AND_MASTER = 2 | 4,
	BAR_SIZE = 128 << 10,
	HUGE_PAGE = 2 << 20,
	ENTRIES = 256,
	BUFFER = 2048,
	MOST = 1514,
};

struct descriptor {
	uint64_t address;
	uint16_t length;
	uint8_t sum_offset, command; /* of a received frame: its sum */
	uint8_t status, errors;
	uint16_t special;
};

/* What lies in the large page. */
struct memory {
	struct descriptor rx[ENTRIES], tx[ENTRIES];
	uint8_t rx_data[ENTRIES][BUFFER], tx_data[ENTRIES][BUFFER];
};

static volatile uint32_t *registers;
static struct memory *memory;
static uint64_t memory_address;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void write_register(unsigned at, uint32_t value)
{
	registers[at / 4] = value;
}

static uint64_t address_of(const void *place)
{
	return memory_address + (uint64_t)((const uint8_t *)place - (const uint8_t *)memory);
}

/* One page, which the kernel does not move, and where it is for the card. */
static void map_memory(void)
{
	uint64_t entry = 0;
	int map = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	memory = mmap(NULL, HUGE_PAGE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_POPULATE, -1, 0);
	if (memory == MAP_FAILED)
		fail("wire: a page of 2 MiB");
	memset(memory, 0, sizeof(*memory));
	if (map < 0 || pread(map, &entry, 8, (off_t)((uintptr_t)memory / 4096 * 8)) != 8 ||
	    !(entry >> 63))
		fail("wire: /proc/self/pagemap");
	memory_address = (entry & ((1ULL << 55) - 1)) * 4096;
	close(map);
}

static int open_of_card(const char *card, const char *file)
{
	char path[128];
	int descriptor;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", card, file);
	descriptor = open(path, O_RDWR | O_CLOEXEC);
	if (descriptor < 0)
		fail(path);
	return descriptor;
}

static void map_card(const char *card)
{
	uint16_t command = 0;
	int config = open_of_card(card, "config"), bar = open_of_card(card, "resource0");

	if (pread(config, &command, 2, PCI_COMMAND) != 2)
		fail("wire: the card's command register");
	command |= PCI_MEMORY_AND_MASTER;
	if (pwrite(config, &command, 2, PCI_COMMAND) != 2)
		fail("wire: the card's command register");
	registers = mmap(NULL, BAR_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, bar, 0);
	if (registers == MAP_FAILED)
		fail("wire: the card's registers");
	close(config);
	close(bar);
}

static void set_ring(unsigned ring, const struct descriptor *entries)
{
	uint64_t at = address_of(entries);

	write_register(ring + RING_LOW, (uint32_t)at);
	write_register(ring + RING_HIGH, (uint32_t)(at >> 32));
	write_register(ring + RING_LENGTH, ENTRIES * sizeof(*entries));
	write_register(ring + RING_HEAD, 0);
	write_register(ring + RING_TAIL, 0);
}

static void start_card(void)
{
	write_register(CTRL, CTRL_RST);
	usleep(20000);
	write_register(IMC, UINT32_MAX);
	write_register(CTRL, CTRL_SLU);
	for (unsigned i = 0; i < ENTRIES; i++) {
		memory->rx[i].address = address_of(memory->rx_data[i]);
		memory->tx[i] = (struct descriptor){ .address = address_of(memory->tx_data[i]),
						     .status = DONE };
	}
	set_ring(RX_RING, memory->rx);
	set_ring(TX_RING, memory->tx);
	write_register(RX_RING + RING_TAIL, ENTRIES - 1);
	write_register(RCTL, RCTL_EN | RCTL_UPE | RCTL_MPE | RCTL_BAM | RCTL_SECRC);
	write_register(TCTL, TCTL_EN | TCTL_PSP | TCTL_COLLISIONS);
}

static int open_socket(uint16_t port)
{
	struct sockaddr_in here = { .sin_family = AF_INET,
				    .sin_port = htons((uint16_t)(port + 1)),
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in there = here;
	int end = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	there.sin_port = htons(port);
	if (end < 0 || bind(end, (struct sockaddr *)&here, sizeof(here)) ||
	    connect(end, (struct sockaddr *)&there, sizeof(there)))
		fail("wire: socket");
	return end;
}

/* Frames that have come; returns the next place in the ring. QEMU may not be there (yet): then a frame is lost, as on a wire. */
static unsigned receive(int end, unsigned next)
{
	volatile struct descriptor *entry;

	while ((entry = &memory->rx[next])->status & DONE) {
		if (entry->status & RX_END &&
		    send(end, memory->rx_data[next], entry->length, 0) < 0) {
		}
		entry->status = 0;
		write_register(RX_RING + RING_TAIL, next);
		next = (next + 1) % ENTRIES;
	}
	return next;
}

/* Frames to be sent, as long as there is room. */
static unsigned transmit(int end, unsigned next)
{
	while (*(volatile uint8_t *)&memory->tx[next].status & DONE) {
		ssize_t length = recv(end, memory->tx_data[next], BUFFER, 0);

		if (length <= 0)
			break;
		if (length > MOST)
			continue;
		memory->tx[next].length = (uint16_t)length;
		memory->tx[next].command = TX_END_SUM_REPORT;
		*(volatile uint8_t *)&memory->tx[next].status = 0;
		next = (next + 1) % ENTRIES;
		write_register(TX_RING + RING_TAIL, next);
	}
	return next;
}

int main(int argc, char **argv)
{
	unsigned rx = 0, tx = 0;
	struct pollfd wait = { .events = POLLIN };

	if (argc != 3)
		return 2;
	_Static_assert(sizeof(struct memory) <= HUGE_PAGE, "one page");
	map_memory();
	map_card(argv[1]);
	start_card();
	wait.fd = open_socket((uint16_t)atoi(argv[2]));
	printf("wire: up\n");
	fflush(stdout);
	for (;;) {
		poll(&wait, 1, 1);
		rx = receive(wait.fd, rx);
		tx = transmit(wait.fd, tx);
	}
}
