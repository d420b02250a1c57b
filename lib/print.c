/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/print.h"
#include "lib/string.h"

enum { LEFT = BIT(0), ZERO = BIT(1), PLUS = BIT(2), SPACE = BIT(3), HASH = BIT(4) };

#define NO_PRECISION (-1)

/* One conversion, as between '%' and its letter. */
struct spec {
	unsigned int flags;
	int width;
	int precision;     /* NO_PRECISION when not given */
	unsigned int bits; /* width of an integer argument */
};

struct out {
	char *buf;
	size_t len;
	size_t room; /* bytes left, the NUL not counted */
};

static void put(struct out *out, const char *text, size_t len)
{
	len = MIN(len, out->room);
	memcpy(out->buf + out->len, text, len);
	out->len += len;
	out->room -= len;
}

/* Bounded by the room and not by @count: a width may come from anywhere. */
static void fill(struct out *out, char c, int count)
{
	size_t len = count > 0 ? MIN((size_t)count, out->room) : 0;

	memset(out->buf + out->len, c, len);
	out->len += len;
	out->room -= len;
}

/* @prefix (sign or 0x), @zeros and @text, padded with blanks to the width. */
static void put_field(struct out *out, const struct spec *spec, const char *prefix, int zeros,
		      const char *text, size_t len)
{
	size_t used = strlen(prefix) + (size_t)zeros + len;
	int blanks = used < (size_t)spec->width ? spec->width - (int)used : 0;

	if (!(spec->flags & LEFT))
		fill(out, ' ', blanks);
	put(out, prefix, strlen(prefix));
	fill(out, '0', zeros);
	put(out, text, len);
	if (spec->flags & LEFT)
		fill(out, ' ', blanks);
}

static void put_integer(struct out *out, const struct spec *spec, u64 value, unsigned int base,
			bool upper, const char *prefix)
{
	const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
	char text[20]; /* 2^64 - 1 has 20 decimal digits */
	char *end = text + sizeof(text);
	char *p = end;
	int len, zeros = 0;

	for (; value; value /= base)
		*--p = digits[value % base];
	if (p == end && spec->precision == NO_PRECISION)
		*--p = '0';
	len = (int)(end - p);

	if (spec->precision > len)
		zeros = spec->precision - len;
	else if (spec->precision == NO_PRECISION && (spec->flags & (ZERO | LEFT)) == ZERO)
		zeros = MAX(spec->width - len - (int)strlen(prefix), 0);
	put_field(out, spec, prefix, zeros, p, (size_t)len);
}

static void put_signed(struct out *out, const struct spec *spec, s64 value)
{
	const char *prefix = value < 0             ? "-"
			     : spec->flags & PLUS  ? "+"
			     : spec->flags & SPACE ? " "
						   : "";

	put_integer(out, spec, value < 0 ? 0 - (u64)value : (u64)value, 10, false, prefix);
}

static void put_hex(struct out *out, const struct spec *spec, u64 value, bool upper)
{
	const char *prefix = upper ? "0X" : "0x";

	put_integer(out, spec, value, 16, upper, spec->flags & HASH && value ? prefix : "");
}

static void put_string(struct out *out, const struct spec *spec, const char *s)
{
	if (!s)
		s = "(null)";
	put_field(out, spec, "", 0, s,
		  spec->precision == NO_PRECISION ? strlen(s)
						  : strnlen(s, (size_t)spec->precision));
}

static const char *parse_flags(const char *fmt, unsigned int *flags)
{
	static const char letters[] = "-0+ #"; /* in the order of the flags' bits */

	for (*flags = 0; *fmt; fmt++) {
		const char *p = strchr(letters, *fmt);

		if (!p)
			break;
		*flags |= 1u << (p - letters);
	}
	return fmt;
}

#define MAX_FIELD 0xffff /* what a width or precision in digits saturates to */

static const char *parse_number(const char *fmt, int *number)
{
	for (*number = 0; *fmt >= '0' && *fmt <= '9'; fmt++)
		*number = MIN(*number * 10 + (*fmt - '0'), MAX_FIELD);
	return fmt;
}

static const char *parse_length(const char *fmt, unsigned int *bits)
{
	static const struct {
		char name[3];
		u8 bits;
	} lengths[] = { { "hh", 8 }, { "h", 16 }, { "ll", 64 }, { "l", 64 }, { "z", 64 } };

	*bits = 32;
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		size_t len = strlen(lengths[i].name);

		if (!strncmp(fmt, lengths[i].name, len)) {
			*bits = lengths[i].bits;
			return fmt + len;
		}
	}
	return fmt;
}

static s64 sign_extend(u64 value, unsigned int bits)
{
	return (s64)(value << (64 - bits)) >> (64 - bits);
}

/* va_list is an array type on x86-64: wrapped, so that a pointer to it can be passed on. */
struct args {
	va_list list;
};

static u64 next_integer(struct args *args, unsigned int bits)
{
	u64 value = bits == 64 ? va_arg(args->list, u64) : va_arg(args->list, unsigned int);

	return value & GENMASK(bits - 1, 0);
}

static int next_field(struct args *args)
{
	int value = va_arg(args->list, int);

	return MIN(MAX(value, -MAX_FIELD), MAX_FIELD);
}

static const char *parse_spec(const char *fmt, struct spec *spec, struct args *args)
{
	fmt = parse_flags(fmt, &spec->flags);

	if (*fmt == '*') {
		fmt++;
		spec->width = next_field(args);
		if (spec->width < 0) {
			spec->flags |= LEFT;
			spec->width = -spec->width;
		}
	} else {
		fmt = parse_number(fmt, &spec->width);
	}

	spec->precision = NO_PRECISION;
	if (*fmt == '.') {
		fmt++;
		if (*fmt == '*') {
			fmt++;
			spec->precision = next_field(args);
			if (spec->precision < 0)
				spec->precision = NO_PRECISION;
		} else {
			fmt = parse_number(fmt, &spec->precision);
		}
	}
	return parse_length(fmt, &spec->bits);
}

/* Print the argument that @letter asks for; false when no such conversion is known. */
static bool convert(struct out *out, struct spec *spec, char letter, struct args *args)
{
	char c;

	switch (letter) {
	case 'd':
	case 'i':
		put_signed(out, spec, sign_extend(next_integer(args, spec->bits), spec->bits));
		return true;
	case 'u':
		put_integer(out, spec, next_integer(args, spec->bits), 10, false, "");
		return true;
	case 'x':
	case 'X': put_hex(out, spec, next_integer(args, spec->bits), letter == 'X'); return true;
	case 'p': put_integer(out, spec, next_integer(args, 64), 16, false, "0x"); return true;
	case 'c':
		c = (char)va_arg(args->list, int);
		put_field(out, spec, "", 0, &c, 1);
		return true;
	case 's': put_string(out, spec, va_arg(args->list, const char *)); return true;
	case '%': put(out, "%", 1); return true;
	default: return false;
	}
}

static size_t format(struct out *out, const char *fmt, struct args *args)
{
	while (*fmt) {
		const char *start = fmt;
		struct spec spec;

		if (*fmt != '%') {
			while (*fmt && *fmt != '%')
				fmt++;
			put(out, start, (size_t)(fmt - start));
			continue;
		}
		fmt = parse_spec(fmt + 1, &spec, args);
		if (*fmt && convert(out, &spec, *fmt, args))
			fmt++;
		else
			put(out, start, (size_t)(fmt - start));
	}
	out->buf[out->len] = '\0';
	return out->len;
}

size_t vscnprintf(char *buf, size_t size, const char *fmt, va_list list)
{
	struct out out = { .buf = buf, .room = size - 1 };
	struct args args;
	size_t len;

	va_copy(args.list, list);
	len = format(&out, fmt, &args);
	va_end(args.list);
	return len;
}

size_t scnprintf(char *buf, size_t size, const char *fmt, ...)
{
	va_list args;
	size_t len;

	va_start(args, fmt);
	len = vscnprintf(buf, size, fmt, args);
	va_end(args);
	return len;
}
