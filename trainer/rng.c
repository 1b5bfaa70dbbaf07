/*
 * rng.c - hashing and counter-based random numbers.
 *
 * A random number is a function of a stream's key and a counter, never of who
 * draws it or when: so a model does not depend on the number of participants.
 * Mixers: the finalisers of splitmix64 (Steele et al., OOPSLA 2014) and of
 * MurmurHash3 (32 bits, for dropout, where vector instructions have it).
 */
#include <math.h>
#include <string.h>

#include "mml_math.h"

#define GOLDEN 0x9E3779B97F4A7C15ULL

uint64_t
mml_mix(uint64_t x)
{
	x ^= x >> 30;
	x *= 0xBF58476D1CE4E5B9ULL;
	x ^= x >> 27;
	x *= 0x94D049BB133111EBULL;
	x ^= x >> 31;
	return x;
}

uint64_t
mml_combine(uint64_t a, uint64_t b)
{
	return mml_mix(a * 3 + mml_mix(b + GOLDEN));
}

static uint64_t
load_bytes(const unsigned char *bytes, size_t n)
{
	uint64_t	word = 0;

	for (size_t i = 0; i < n; i++)
		word |= (uint64_t) bytes[i] << (8 * i);
	return word;
}

uint64_t
mml_hash_bytes(const void *bytes, size_t n, uint64_t seed)
{
	const unsigned char *at = bytes;
	uint64_t	hash = mml_mix(seed ^ (n * GOLDEN));

	for (; n >= 8; n -= 8, at += 8)
		hash = mml_mix(hash ^ load_bytes(at, 8)) * GOLDEN;
	if (n > 0)
		hash = mml_mix(hash ^ load_bytes(at, n)) * GOLDEN;
	return mml_mix(hash);
}

uint64_t
mml_hash_integer(int64_t value)
{
	return mml_mix((uint64_t) value * GOLDEN + 1);
}

/* Whether the text is how PostgreSQL prints some bigint, and which. */
static bool
is_integer_text(const char *text, size_t length, int64_t *value)
{
	bool		is_negative = length > 0 && text[0] == '-';
	size_t		first = is_negative ? 1 : 0;
	uint64_t	sum = 0;

	if (length == first || length > first + 19 || text[first] < '0' || text[first] > '9')
		return false;
	if (text[first] == '0' && (length > 1))
		return false;
	for (size_t i = first; i < length; i++)
	{
		if (text[i] < '0' || text[i] > '9')
			return false;
		sum = sum * 10 + (uint64_t) (text[i] - '0');
	}
	if (sum > (uint64_t) INT64_MAX + (is_negative ? 1 : 0))
		return false;
	*value = is_negative ? (int64_t) (0 - sum) : (int64_t) sum;
	return true;
}

uint64_t
mml_hash_text(const char *text, size_t length)
{
	int64_t		value;

	if (is_integer_text(text, length, &value))
		return mml_hash_integer(value);
	return mml_hash_bytes(text, length, GOLDEN);
}

static uint64_t
draw(uint64_t key, uint64_t n)
{
	return mml_mix(mml_mix(key + n * GOLDEN) ^ (key >> 32));
}

double
mml_uniform(uint64_t key, uint64_t n)
{
	return (double) (draw(key, n) >> 11) * 0x1.0p-53;
}

double
mml_normal(uint64_t key, uint64_t n)
{
	/* Box and Muller's transform; 1 - u is never 0 */
	double		radius = sqrt(-2.0 * log(1.0 - mml_uniform(key, 2 * n)));

	return radius * cos(6.283185307179586 * mml_uniform(key, 2 * n + 1));
}

uint64_t
mml_below(uint64_t key, uint64_t n, uint64_t bound)
{
	return (uint64_t) (mml_uniform(key, n) * (double) bound);
}

void
mml_shuffle_places(uint64_t key, uint32_t *values, size_t from, size_t to)
{
	for (size_t i = to; i > from; i--)
	{
		size_t		j = mml_below(key, i, i);
		uint32_t	held = values[i - 1];

		values[i - 1] = values[j];
		values[j] = held;
	}
}

void
mml_shuffle(uint64_t key, uint32_t *values, size_t n)
{
	mml_shuffle_places(key, values, 0, n);
}

mml_drop_key
mml_drop_key_of(uint64_t stream, uint64_t row)
{
	uint64_t	word = draw(stream, row);
	mml_drop_key key = {(uint32_t) word, (uint32_t) (word >> 32)};

	return key;
}

/* 32 random bits of counter j: two units' worth. */
static inline uint32_t
drop_bits(mml_drop_key key, uint32_t j)
{
	uint32_t	x = j * 0x9E3779B1U + key.a;

	x ^= x >> 16;
	x *= 0x85EBCA6BU;
	x ^= key.b ^ (x >> 13);
	x *= 0xC2B2AE35U;
	x ^= x >> 16;
	return x;
}

/*
 * Unit j of the first half takes the low 16 bits of counter j, unit j of the
 * second half the high ones: so both halves are plain loops.
 */
MML_VECTORIZED void
mml_dropout(float *x, size_t n, mml_drop_key key, uint32_t threshold, float scale)
{
	size_t		half = n / 2;
	float	   *high = x + half;

	for (size_t j = 0; j < half; j++)
	{
		uint32_t	bits = drop_bits(key, (uint32_t) j);

		x[j] *= (bits & 0xFFFF) >= threshold ? scale : 0.0f;
		high[j] *= (bits >> 16) >= threshold ? scale : 0.0f;
	}
	if (n > 2 * half)
		x[n - 1] *= (drop_bits(key, (uint32_t) half) & 0xFFFF) >= threshold ? scale : 0.0f;
}
