/*
 * test_hostile.c - bytes that are not a sound model: cut, flipped, lengthened,
 * with any field set to any extreme under a right checksum, or garbage.  Each
 * is refused, or is a model that scores; nothing crashes, and nothing is taken
 * from memory for what the bytes only claim.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mml_format.h"
#include "unit.h"

static unit_host unit;
static unit_data data;
static unit_bytes good;			/* a small sound model */

/* ------------------------------------------------------------------ sections */

static uint64_t
number_at(const unsigned char *at, int n)
{
	uint64_t	value = 0;

	for (int i = 0; i < n; i++)
		value |= (uint64_t) at[i] << (8 * i);
	return value;
}

static void
set_number(unsigned char *at, int n, uint64_t value)
{
	for (int i = 0; i < n; i++)
		at[i] = (unsigned char) (value >> (8 * i));
}

/* Where section i's head starts. */
static size_t
section_at(const unit_bytes *bytes, int i)
{
	size_t		at = MML_FILE_HEAD;

	while (i-- > 0)
		at += MML_SECTION_HEAD + number_at(bytes->at + at + 8, 8);
	return at;
}

/* Makes a section's checksum right again. */
static void
sign(unit_bytes *bytes, int i)
{
	size_t		at = section_at(bytes, i);
	mml_checksum sum;

	mml_checksum_init(&sum);
	mml_checksum_add(&sum, bytes->at + at + MML_SECTION_HEAD, number_at(bytes->at + at + 8, 8));
	set_number(bytes->at + at + 16, 8, mml_checksum_end(&sum));
}

static unit_bytes
copy_of(const unit_bytes *bytes, size_t n)
{
	unit_bytes	copy = {.at = calloc(1, n + 1),.n = n,.held = n + 1};

	memcpy(copy.at, bytes->at, n < bytes->n ? n : bytes->n);
	return copy;
}

/* --------------------------------------------------------------------- load */

/* What was loaded must score without harm, whatever it scores. */
static void
use(const mml_model *model)
{
	mml_model_facts facts;
	mml_scorer *scorer;
	float		scores[4];

	mml_model_get_facts(model, &facts);
	if (mml_scorer_create(&unit.host, model, facts.served, 4, 0, &scorer) != MML_OK)
		return;
	for (size_t i = 0; i < 4; i++)
		if (unit_push_scoring(mml_scorer_rows(scorer), &data, i) != MML_OK)
			mml_rows_reset(mml_scorer_rows(scorer));
	(void) mml_score(scorer, scores);
	mml_scorer_free(scorer);
}

static mml_status
read_at(void *self, uint64_t at, void *bytes, size_t n)
{
	const unit_bytes *from = self;

	unit_check(at <= from->n && n <= from->n - at, "%zu bytes at %llu of %zu", n, (unsigned long long) at, from->n);
	memcpy(bytes, from->at + at, n);
	return MML_OK;
}

static mml_status
digest_of(const unit_bytes *bytes, mml_digest *digest)
{
	unit_bytes	from = *bytes;
	mml_glimpse glimpse = {.self = &from,.total = bytes->n,.read = read_at};

	return mml_model_digest(&glimpse, digest);
}

/* Loads bytes; `may_be_sound`: not every change can be told from a model. */
static mml_status
check_load(const char *what, size_t place, const unit_bytes *bytes, bool may_be_sound)
{
	mml_model  *model = NULL;
	mml_digest	digest;
	mml_status	digested = digest_of(bytes, &digest);
	mml_status	status;

	unit.most_used = 0;
	unit.host.memory_limit = 2 << 20;
	status = unit_load(&unit.host, bytes, &model);
	if (status == MML_OK)
		use(model);
	mml_model_free(model);
	if (status == MML_OK && digested != MML_OK)
		unit_check(false, "%s at %zu: a sound model has no digest", what, place);
	unit_check(status == MML_BAD_MODEL || (may_be_sound && status == MML_OK), "%s at %zu: status %d, %s %s", what,
			   place, status, unit_error(&unit.host), unit.host.error.detail);
	if (unit.n_held != 0)
	{
		unit_check(false, "%s at %zu: %ld pieces of memory are kept", what, place, unit.n_held);
		unit.n_held = 0;
	}
	return status;
}

/* --------------------------------------------------------------------- cases */

static void
test_lengths(void)
{
	unit_bytes	longer = copy_of(&good, good.n + 9);

	for (size_t n = 0; n < good.n; n++)
	{
		unit_bytes	cut = copy_of(&good, n);

		check_load("cut", n, &cut, false);
		/* the same where the head agrees with the length */
		if (n >= MML_FILE_HEAD)
		{
			set_number(cut.at + 16, 8, n);
			check_load("cut, and says so", n, &cut, false);
		}
		unit_bytes_free(&cut);
	}
	for (size_t n = good.n + 1; n <= good.n + 9; n++)
	{
		longer.n = n;
		set_number(longer.at + 16, 8, good.n);
		check_load("longer", n, &longer, false);
		set_number(longer.at + 16, 8, n);
		check_load("longer, and says so", n, &longer, false);
	}
	unit_bytes_free(&longer);
}

static void
test_flips(void)
{
	unit_bytes	flipped = copy_of(&good, good.n);

	for (size_t bit = 0; bit < good.n * 8; bit += bit < 4000 ? 1 : 7)
	{
		flipped.at[bit / 8] ^= (unsigned char) (1 << bit % 8);
		check_load("flipped bit", bit, &flipped, false);
		flipped.at[bit / 8] ^= (unsigned char) (1 << bit % 8);
	}
	unit_bytes_free(&flipped);
}

/* Every four and eight bytes of every section are once a count that is too large, negative or zero. */
static void
test_extremes(void)
{
	static const uint64_t values[] = {0, 1, 2, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000, 65535, 1000000000};
	unit_bytes	changed = copy_of(&good, good.n);
	size_t		n_sound = 0;

	for (int i = 0; i < MML_SECTIONS; i++)
	{
		size_t		first = section_at(&good, i) + MML_SECTION_HEAD;
		size_t		end = first + number_at(good.at + first - MML_SECTION_HEAD + 8, 8);
		/* the tensors' values are of no interest, their heads come every few bytes */
		size_t		step = i == MML_SECTIONS - 1 ? 3 : 1;

		for (size_t at = first; at + 8 <= end; at += step)
			for (size_t v = 0; v < sizeof(values) / sizeof(values[0]) + 1; v++)
			{
				bool		is_wide = v == sizeof(values) / sizeof(values[0]);

				set_number(changed.at + at, is_wide ? 8 : 4, is_wide ? UINT64_MAX / 4 + 1 : values[v]);
				sign(&changed, i);
				n_sound += check_load("extreme", at, &changed, true) == MML_OK;
				memcpy(changed.at + at, good.at + at, 8);
				sign(&changed, i);
			}
	}
	unit_check(unit_same_bytes(&changed, &good), "all changes are undone");
	unit_check(n_sound > 0, "numbers that may be anything may be anything");
	unit_bytes_free(&changed);
}

/* A section of random bytes under a right head. */
static void
test_garbage(void)
{
	for (int i = 0; i < MML_SECTIONS; i++)
		for (uint64_t key = 0; key < 200; key++)
		{
			size_t		head = section_at(&good, i);
			size_t		old = number_at(good.at + head + 8, 8);
			size_t		n = mml_below(key, 1, 400);
			size_t		rest = head + MML_SECTION_HEAD + old;
			unit_bytes	changed = copy_of(&good, head + MML_SECTION_HEAD + n + good.n - rest);
			unsigned char *payload = changed.at + head + MML_SECTION_HEAD;

			for (size_t j = 0; j < n; j++)
			{
				/* small numbers come often, as counts and lengths are */
				payload[j] = (unsigned char) mml_below(key, j + 2, j % 4 == 0 ? 20 : key % 2 == 0 ? 2 : 256);
				if (key % 3 == 0 && j < old)
					payload[j] = good.at[head + MML_SECTION_HEAD + j];
			}
			memcpy(payload + n, good.at + rest, good.n - rest);
			set_number(changed.at + 16, 8, changed.n);
			set_number(changed.at + head + 8, 8, n);
			sign(&changed, i);
			check_load("garbage in section", (size_t) i, &changed, n == old);
			unit_bytes_free(&changed);
		}
}

static void
check_message(const char *says)
{
	unit_check(strstr(unit_error(&unit.host), says) != NULL, "says \"%s\", not \"%s\"", unit_error(&unit.host), says);
}

static void
test_heads(void)
{
	unit_bytes	changed = copy_of(&good, good.n);
	size_t		a = section_at(&good, 1);
	size_t		b = section_at(&good, 2);
	char		says[80];

	memcpy(changed.at, "MOEMLORA", 8);
	check_load("magic", 0, &changed, false);
	check_message("not a moemlora model");
	memcpy(changed.at, good.at, 8);
	set_number(changed.at + 8, 4, MML_FILE_VERSION + 1);
	check_load("version", 8, &changed, false);
	snprintf(says, sizeof(says), "has format %d, this version reads format %d", MML_FILE_VERSION + 1, MML_FILE_VERSION);
	check_message(says);
	memcpy(changed.at, good.at, good.n);
	set_number(changed.at + 12, 4, MML_SECTIONS + 1);
	check_load("sections", 12, &changed, false);
	/* two sections in each other's place */
	memcpy(changed.at, good.at, good.n);
	memcpy(changed.at + a, good.at + b, section_at(&good, 3) - b);
	memcpy(changed.at + a + section_at(&good, 3) - b, good.at + a, b - a);
	check_load("order of sections", a, &changed, false);
	unit_bytes_free(&changed);
	changed = copy_of(&good, good.n);
	unit_check(check_load("no change", 0, &changed, true) == MML_OK, "the sound model is sound");
	unit_bytes_free(&changed);
}

/* A digest tells all changes of heads, and so of lengths and checksums; bytes that are no model have none. */
static void
test_digest(void)
{
	unit_bytes	changed = copy_of(&good, good.n);
	mml_digest	digest;
	mml_digest	other;

	unit_check(digest_of(&good, &digest) == MML_OK, "a model has a digest");
	unit_check(digest_of(&changed, &other) == MML_OK && memcmp(digest.key, other.key, sizeof(digest.key)) == 0,
			   "equal bytes have equal digests");
	unit_check(mml_digest_is_of(&digest, good.at, good.n) && !mml_digest_is_of(&digest, good.at, good.n - 1),
			   "a digest is of its bytes, all of them");
	for (int i = 0; i < MML_SECTIONS; i++)
	{
		size_t		payload = section_at(&good, i) + MML_SECTION_HEAD;

		changed.at[payload] ^= 1;
		sign(&changed, i);
		unit_check(digest_of(&changed, &other) == MML_OK && memcmp(digest.key, other.key, sizeof(digest.key)) != 0 &&
				   !mml_digest_is_of(&digest, changed.at, changed.n), "section %d changes the digest", i);
		changed.at[payload] ^= 1;
		sign(&changed, i);
		for (size_t at = payload - MML_SECTION_HEAD; at < payload - 8; at++)
		{
			changed.at[at] ^= 16;
			unit_check(digest_of(&changed, &other) == MML_BAD_MODEL, "byte %zu of the head of section %d", at, i);
			changed.at[at] ^= 16;
		}
	}
	for (size_t n = 0; n < good.n; n++)
	{
		changed.n = n;
		if (n >= MML_FILE_HEAD)
			set_number(changed.at + 16, 8, n);
		unit_check(digest_of(&changed, &other) == MML_BAD_MODEL, "cut at %zu", n);
	}
	unit_bytes_free(&changed);
}

int
main(void)
{
	static const char *const gates[] = {"domain", "input"};

	mml_init();
	unit_host_init(&unit);
	for (int i = 0; i < 2; i++)
	{
		mml_config	config;
		mml_model  *model;

		unit_config_init(&config);
		unit_data_init(&data);
		data.n_rows = 80;
		data.n_users = data.n_items = 3;
		data.n_domains = 3;
		data.features |= UNIT_AGE;
		config.embedding_dim = 1;
		config.n_hidden = 1;
		config.hidden[0] = 2;
		config.min_domain_rows = 20;
		config.epochs = 1;
		(void) unit_set(&config, "gate", gates[i]);
		(void) unit_set(&config, "serve", "gate");
		unit.host.memory_limit = 0;
		unit_check(unit_train(&unit.host, &config, &data, 1, &model) == MML_OK, "train: %s", unit_error(&unit.host));
		(void) unit_save(&unit.host, model, &good);
		mml_model_free(model);
		test_heads();
		test_digest();
		test_lengths();
		test_flips();
		test_extremes();
		test_garbage();
		unit_bytes_free(&good);
	}
	return unit_done();
}
