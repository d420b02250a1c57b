#include "lib/packet.h"
#include "lib/string.h"

void packet_copy(const struct packet *packet, u32 offset, void *to, u32 len)
{
	u32 from_head = 0;

	if (offset < packet->head_len) {
		from_head = MIN(len, packet->head_len - offset);
		memcpy(to, packet->head + offset, from_head);
	}
	if (len > from_head)
		packet->copy(packet, offset + from_head, (u8 *)to + from_head, len - from_head);
}
