/*
 * fuzz_load.c - libFuzzer's target: bytes that claim to be a model.  Whatever
 * they are, loading them ends in a model or an error, and what can be done with
 * a model then does no harm.
 *
 * Checksums would stop every change at once, so the mutator changes the payload
 * of one section, or its length, and makes heads and checksums right again.
 * Seeds: seeds.c.
 */
#include <stdlib.h>
#include <string.h>

#include "mml_format.h"

#define MOST_MEMORY ((size_t) 64 << 20)	/* more than any model of libFuzzer's size may take */
#define N_ROWS 3

extern int	LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);
extern size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t n, size_t most, unsigned int seed);
extern size_t LLVMFuzzerMutate(uint8_t *bytes, size_t n, size_t most);

/* -------------------------------------------------------------------- host */

static size_t n_held;			/* pieces of memory */

static void *
take(void *self, size_t bytes)
{
	void	   *memory;

	(void) self;
	if (bytes > MOST_MEMORY)
		return NULL;
	memory = malloc(bytes);
	n_held += memory != NULL;
	return memory;
}

static void
give_back(void *self, void *memory)
{
	(void) self;
	n_held--;
	free(memory);
}

static bool
never(void *self)
{
	(void) self;
	return false;
}

static double
no_time(void *self)
{
	(void) self;
	return 0;
}

/* What must never be. */
static void
require(bool is_so)
{
	if (!is_so)
		__builtin_trap();
}

/* -------------------------------------------------------------------- input */

typedef struct input
{
	const uint8_t *bytes;
	size_t		n;
	size_t		next;
} input;

static mml_status
read_next(void *self, void *bytes, size_t n)
{
	input	   *from = self;

	require(n <= from->n - from->next);
	memcpy(bytes, from->bytes + from->next, n);
	from->next += n;
	return MML_OK;
}

static mml_status
read_at(void *self, uint64_t at, void *bytes, size_t n)
{
	const input *from = self;

	require(at <= from->n && n <= from->n - at);
	memcpy(bytes, from->bytes + at, n);
	return MML_OK;
}

/* -------------------------------------------------------------- what is done */

/* Puts some value of the kind; one that is refused makes the row NULL there. */
static mml_status
put_value(mml_rows *rows, int field, const mml_field_spec *spec, int row)
{
	static const float numbers[4] = {1, -1, 0.5f, 0};

	if (row == 0)
		return mml_put_null(rows, field);
	if (spec->kind == MML_NUMERIC || spec->n_boundaries > 0)
		return mml_put_real(rows, field, row * 1e6);
	if (spec->kind == MML_CATEGORICAL)
		return mml_put_integer(rows, field, row);
	if (spec->kind == MML_VECTOR)
		return spec->width <= 4 ? mml_put_vector(rows, field, numbers, spec->width) : mml_put_null(rows, field);
	MML_TRY(mml_put_items_begin(rows, field));
	MML_TRY(mml_put_item_text(rows, field, "tag", 3));
	MML_TRY(mml_put_item_integer(rows, field, row));
	return mml_put_items_end(rows, field);
}

static mml_status
push_row(mml_rows *rows, const mml_model *model, int row)
{
	const char *domain = row == 1 && mml_model_domains(model) > 0 ? mml_model_domain(model, 0)->name : "unknown";

	MML_TRY(mml_rows_begin(rows));
	for (int f = 0; f < mml_model_features(model); f++)
	{
		mml_field_spec spec;

		mml_model_feature(model, f, &spec);
		MML_TRY(put_value(rows, f, &spec, row));
	}
	return mml_rows_end_scoring(rows, domain, strlen(domain));
}

static void
score(mml_host *host, const mml_model *model, size_t capacity)
{
	mml_model_facts facts;
	mml_scorer *scorer;
	float		scores[N_ROWS];

	mml_model_get_facts(model, &facts);
	if (mml_scorer_create(host, model, facts.served, capacity, 0, &scorer) != MML_OK)
		return;
	for (int row = 0; row < N_ROWS; row++)
	{
		(void) push_row(mml_scorer_rows(scorer), model, row);
		if (mml_rows_full(mml_scorer_rows(scorer)))
			(void) mml_score(scorer, scores);
	}
	(void) mml_score(scorer, scores);
	mml_scorer_free(scorer);
}

/* All that moemlora_drift() and moemlora_gates() ask. */
static void
analyse(mml_host *host, const mml_model *model)
{
	mml_model_facts facts;
	mml_scorer *scorer = NULL;
	mml_drift  *drift = NULL;
	mml_shift	shift;
	float	   *weights;

	mml_model_get_facts(model, &facts);
	weights = calloc((size_t) facts.n_experts + 1, 2 * sizeof(float));
	for (int d = 0; d < mml_model_domains(model); d++)
		(void) mml_model_gates(model, d, weights, weights + facts.n_experts);
	free(weights);
	if (mml_scorer_create(host, model, facts.served, N_ROWS, 0, &scorer) == MML_OK &&
		mml_drift_create(host, model, &drift) == MML_OK)
	{
		for (int row = 0; row < N_ROWS; row++)
			(void) push_row(mml_scorer_rows(scorer), model, row);
		(void) mml_drift_add(drift, scorer);
		for (int d = -1; d < mml_model_domains(model); d++)
		{
			if (d >= 0 && !mml_model_has_profile(model, d))
				continue;
			mml_drift_scores(drift, d, &shift);
			for (int f = 0; f < mml_model_features(model); f++)
				mml_drift_feature(drift, d, f, &shift);
		}
	}
	mml_drift_free(drift);
	mml_scorer_free(scorer);
}

/* All that moemlora_inspect() asks. */
static void
inspect(const mml_model *model)
{
	mml_tensor_facts tensor;
	double		mean;
	double		deviation;
	uint64_t	bytes = 0;

	for (int f = 0; f < mml_model_features(model); f++)
		mml_model_feature_scale(model, f, &mean, &deviation);
	for (int i = 0; i < mml_model_tensors(model); i++)
	{
		mml_model_get_tensor(model, i, &tensor);
		bytes += tensor.rows * tensor.cols * sizeof(float);
	}
	bytes += mml_model_profile_bytes(model);
	require(bytes <= mml_model_saved_bytes(model));
}

typedef struct output
{
	uint8_t    *bytes;
	size_t		n;
	size_t		most;
} output;

static mml_status
write_next(void *self, const void *bytes, size_t n)
{
	output	   *to = self;

	require(n <= to->most - to->n);
	memcpy(to->bytes + to->n, bytes, n);
	to->n += n;
	return MML_OK;
}

/* What is stored again is a model, of the length that it says. */
static void
store_again(mml_host *host, const mml_model *model)
{
	output		to = {.most = mml_model_saved_bytes(model)};
	mml_writer	writer = {.self = &to,.write = write_next};
	mml_model  *again = NULL;

	to.bytes = malloc(to.most);
	require(mml_model_save(host, model, &writer) == MML_OK && to.n == to.most);
	{
		input		from = {.bytes = to.bytes,.n = to.n};
		mml_reader	reader = {.self = &from,.total = to.n,.read = read_next};

		require(mml_model_load(host, &reader, &again) == MML_OK);
	}
	mml_model_free(again);
	free(to.bytes);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	mml_host	host = {.allocate = take,.release = give_back,.poll = never,.seconds = no_time};
	input		from = {.bytes = bytes,.n = n};
	mml_reader	reader = {.self = &from,.total = n,.read = read_next};
	mml_glimpse glimpse = {.self = &from,.total = n,.read = read_at};
	mml_digest	digest;
	mml_status	digested = mml_model_digest(&glimpse, &digest);
	mml_model  *model;

	if (mml_model_load(&host, &reader, &model) == MML_OK)
	{
		require(digested == MML_OK && from.next == n && mml_digest_is_of(&digest, bytes, n));
		inspect(model);
		score(&host, model, 1);
		score(&host, model, N_ROWS);
		analyse(&host, model);
		store_again(&host, model);
		mml_model_free(model);
	}
	else
		require(host.error.message[0] != '\0');
	require(n_held == 0);
	return 0;
}

/* ------------------------------------------------------------------- mutator */

static uint64_t
number_at(const uint8_t *at, int n)
{
	uint64_t	value = 0;

	for (int i = 0; i < n; i++)
		value |= (uint64_t) at[i] << (8 * i);
	return value;
}

static void
set_number(uint8_t *at, uint64_t value)
{
	for (int i = 0; i < 8; i++)
		at[i] = (uint8_t) (value >> (8 * i));
}

/* Where the section's head is; false: there is no such section. */
static bool
find_section(const uint8_t *bytes, size_t n, unsigned int number, size_t *head)
{
	*head = MML_FILE_HEAD;
	for (unsigned int i = 0; n >= MML_FILE_HEAD && n - *head >= MML_SECTION_HEAD; i++)
	{
		uint64_t	payload = number_at(bytes + *head + 8, 8);

		if (payload > n - *head - MML_SECTION_HEAD)
			return false;
		if (i == number)
			return true;
		*head += MML_SECTION_HEAD + payload;
	}
	return false;
}

/* Changes a payload of n bytes that may become `most`: a word of it to a count or index, or anything; its new length. */
static size_t
change(uint8_t *payload, size_t n, size_t most, uint64_t draw)
{
	static const uint32_t words[8] = {0, 1, 2, 3, 0x7FFFFFFF, 0xFFFFFFFF, 65535, 1000000000};
	size_t		at;

	if (draw % 2 == 0 || n < 4)
		return LLVMFuzzerMutate(payload, n, most);
	at = draw / 16 % (n - 3);
	for (int i = 0; i < 4; i++)
		payload[at + (size_t) i] = (uint8_t) (words[draw / 2 % 8] >> (8 * i));
	return n;
}

size_t
LLVMFuzzerCustomMutator(uint8_t *bytes, size_t n, size_t most, unsigned int seed)
{
	size_t		head;
	size_t		old;
	size_t		now;
	uint8_t    *payload;
	uint8_t    *rest;
	mml_checksum sum;

	/* one in so many is changed anywhere */
	if (seed % 16 == 0 || !find_section(bytes, n, (unsigned int) (mml_mix(seed) % MML_SECTIONS), &head))
		return LLVMFuzzerMutate(bytes, n, most);
	payload = bytes + head + MML_SECTION_HEAD;
	old = number_at(bytes + head + 8, 8);
	rest = malloc(n);
	memcpy(rest, payload + old, n - head - MML_SECTION_HEAD - old);
	now = change(payload, old, old + most - n, mml_mix(seed + 1ULL) >> 8);
	memcpy(payload + now, rest, n - head - MML_SECTION_HEAD - old);
	free(rest);
	n = n - old + now;
	mml_checksum_init(&sum);
	mml_checksum_add(&sum, payload, now);
	set_number(bytes + head + 8, now);
	set_number(bytes + head + 16, mml_checksum_end(&sum));
	set_number(bytes + 16, n);
	return n;
}
