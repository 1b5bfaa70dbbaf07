/*
 * serialize.c - a model as bytes: writing.  The reader is deserialize.c.
 *
 * Format 1: little-endian on every machine, no padding, nothing else before,
 * between or behind.  A stored model, a value of moemlora_export() and a file of
 * it are these bytes.
 *
 *   offset  bytes
 *        0      8  "moemlora"
 *        8      4  version of the format u32 = 1
 *       12      4  number of sections u32 = 7
 *       16      8  bytes of all, these included, u64
 *       24         the sections in the order below, each:
 *
 *       +0      4  tag: four letters
 *       +4      4  0 u32
 *       +8      8  bytes of the payload u64
 *      +16      8  checksum of the payload u64: mml_checksum_...() below
 *      +24         payload
 *
 *   CONF  count u32, then per option (mml_options()): name text, type u8
 *         (mml_option_type), value: 0 integer and 2 boolean i64; 1 real f64;
 *         3 choice text; 4 list count u32 and so many i64
 *   FACT  served mode i32 (mml_mode), experts i32, has gate i32 (0/1),
 *         validation rows i64, training rows i64, AUC f64, WAUC f64, logloss f64
 *   PHAS  count u32, then per phase: phase i32 (mml_phase), epochs i32, is used
 *         i32 (0/1), rows i64, training logloss f64, validation logloss f64,
 *         AUC f64, WAUC f64, note text
 *   FIEL  count u32, then per feature: name text, kind i32 (mml_kind), log1p i32
 *         (0/1), standardize i32 (0/1), project i32 (0/1), hash buckets u32
 *         (0 = by vocabulary), width of a vector u32, number of boundaries u32
 *         and so many f64 ascending, mean f64, 1/deviation f64 (0 = did not
 *         vary), number of categories u32 and so many hashes u64 ascending:
 *         the first has id 2, after unknown and NULL
 *   DOMA  count u32, then per domain by name: name text, rows i64, positives
 *         i64, validation rows i64, has experts i32 (0/1), AUC without experts
 *         f64, with its own f64, by the gate f64
 *   PROF  per feature: number of cuts u32, at most 16, and so many u32 ascending;
 *         then a group for all rows; then per domain: has a group i32 (0/1), the
 *         group; then per domain: has gates i32 (0/1), means f32 per expert, spreads
 *         f32 per expert.  What bins and cuts are: mml_profile.h.  A group: values
 *         of training rows u32 per bin of each feature; per feature values of
 *         validation rows u32 and how many of them are unknown u32; mean score f64
 *         and validation rows u32 per bin of scores
 *   TENS  per tensor in the order that params.c declares them: name text (of
 *         embedding., linear. and projection. without the feature's name, which
 *         follows from the order), rows u64, columns u64, the numbers f32 row
 *         by row
 *
 *   text: bytes u32, then those, without a zero, in the encoding of the database.
 *   i32, i64: two's complement.  f32, f64: IEEE 754; NaN = not defined.
 */
#include <string.h>

#include "mml_format.h"

/* ---------------------------------------------------------------- checksum */

#define PRIME_A 0x9E3779B185EBCA87ULL
#define PRIME_B 0xC2B2AE3D27D4EB4FULL

void
mml_checksum_init(mml_checksum *sum)
{
	memset(sum, 0, sizeof(*sum));
	for (int i = 0; i < MML_CHECKSUM_LANES; i++)
		sum->lane[i] = mml_mix((uint64_t) i + 1);
}

static inline uint64_t
word_of(const unsigned char *bytes)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	uint64_t	word;

	memcpy(&word, bytes, sizeof(word));
	return word;
#else
	uint64_t	word = 0;

	for (int i = 0; i < 8; i++)
		word |= (uint64_t) bytes[i] << (8 * i);
	return word;
#endif
}

static void
add_block(mml_checksum *sum, const unsigned char *block)
{
	for (int i = 0; i < MML_CHECKSUM_LANES; i++)
	{
		uint64_t	lane = sum->lane[i] + word_of(block + 8 * i) * PRIME_B;

		sum->lane[i] = ((lane << 31) | (lane >> 33)) * PRIME_A;
	}
}

void
mml_checksum_add(mml_checksum *sum, const void *bytes, size_t n)
{
	const unsigned char *at = bytes;

	sum->total += n;
	while (n > 0)
	{
		size_t		part = MML_MIN(n, sizeof(sum->held) - sum->n_held);

		if (sum->n_held == 0 && n >= sizeof(sum->held))
			add_block(sum, at);
		else
		{
			memcpy(sum->held + sum->n_held, at, part);
			sum->n_held = (sum->n_held + part) % sizeof(sum->held);
			if (sum->n_held == 0)
				add_block(sum, sum->held);
		}
		at += part;
		n -= part;
	}
}

uint64_t
mml_checksum_end(const mml_checksum *sum)
{
	uint64_t	hash = mml_hash_bytes(sum->held, sum->n_held, sum->total);

	for (int i = 0; i < MML_CHECKSUM_LANES; i++)
		hash = mml_combine(hash, sum->lane[i]);
	return hash;
}

/* -------------------------------------------------------------------- emit */

/* Where bytes go: into a checksum and a count alone, or to the writer too. */
typedef struct sink
{
	mml_host   *host;
	const mml_writer *writer;	/* NULL: count only */
	mml_checksum sum;
	uint64_t	n;
	bool		wants_sum;
	mml_status	status;			/* the first failure; later bytes are dropped */
} sink;

static void
put(sink *to, const void *bytes, size_t n)
{
	to->n += n;
	if (to->status != MML_OK)
		return;
	if (to->writer != NULL)
		to->status = to->writer->write(to->writer->self, bytes, n);
	else if (to->wants_sum)
		mml_checksum_add(&to->sum, bytes, n);
}

static void
put_number(sink *to, uint64_t value, int n_bytes)
{
	unsigned char bytes[8];

	for (int i = 0; i < n_bytes; i++)
		bytes[i] = (unsigned char) (value >> (8 * i));
	put(to, bytes, (size_t) n_bytes);
}

static void
put_u32(sink *to, uint32_t value)
{
	put_number(to, value, 4);
}

static void
put_i32(sink *to, int32_t value)
{
	put_number(to, (uint32_t) value, 4);
}

static void
put_i64(sink *to, int64_t value)
{
	put_number(to, (uint64_t) value, 8);
}

static void
put_f64(sink *to, double value)
{
	uint64_t	bits;

	memcpy(&bits, &value, sizeof(bits));
	put_number(to, bits, 8);
}

static void
put_text(sink *to, const char *text)
{
	size_t		length = strlen(text);

	put_u32(to, (uint32_t) length);
	put(to, text, length);
}

/* Numbers of `size` bytes each, in pieces between which it can be cancelled. */
static void
put_array(sink *to, const void *numbers, uint64_t n, size_t size)
{
	const unsigned char *at = numbers;
	uint64_t	left = n * size;

	while (left > 0 && to->status == MML_OK)
	{
		size_t		part = (size_t) MML_MIN(left, MML_FORMAT_PIECE);

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
		put(to, at, part);
#else
		for (size_t i = 0; i < part; i += size)
			for (size_t j = size; j-- > 0;)
				put(to, at + i + j, 1);
#endif
		at += part;
		left -= part;
		if (to->status == MML_OK && (to->writer != NULL || to->wants_sum))
			to->status = mml_poll(to->host);
	}
	if (to->status != MML_OK || left > 0)
		to->n += left;
}

/* ---------------------------------------------------------------- sections */

static void
put_option(sink *to, const mml_config *config, const mml_option *option)
{
	const char *place = (const char *) config + option->offset;
	int32_t		n = 1;
	int32_t		whole;
	double		real;

	put_text(to, option->name);
	put_number(to, (uint64_t) option->type, 1);
	memcpy(&whole, place, sizeof(whole));
	switch (option->type)
	{
		case MML_OPTION_REAL:
			memcpy(&real, place, sizeof(real));
			put_f64(to, real);
			return;
		case MML_OPTION_CHOICE:
			put_text(to, option->choices[whole]);
			return;
		case MML_OPTION_INTEGERS:
			memcpy(&n, (const char *) config + option->count_offset, sizeof(n));
			put_u32(to, (uint32_t) n);
			break;
		default:
			put_i64(to, option->offset == offsetof(mml_config, seed) ? config->seed : whole);
			return;
	}
	for (int32_t i = 0; i < n; i++)
	{
		memcpy(&whole, place + (size_t) i * sizeof(whole), sizeof(whole));
		put_i64(to, whole);
	}
}

static void
put_config(sink *to, const mml_model *model)
{
	int			n_options;
	const mml_option *options = mml_options(&n_options);

	put_u32(to, (uint32_t) n_options);
	for (int i = 0; i < n_options; i++)
		put_option(to, &model->config, &options[i]);
}

static void
put_facts(sink *to, const mml_model *model)
{
	const mml_model_facts *facts = &model->facts;

	put_i32(to, facts->served);
	put_i32(to, facts->n_experts);
	put_i32(to, facts->has_gate);
	put_i64(to, facts->valid_rows);
	put_i64(to, facts->train_rows);
	put_f64(to, facts->valid_auc);
	put_f64(to, facts->valid_wauc);
	put_f64(to, facts->valid_logloss);
}

static void
put_phases(sink *to, const mml_model *model)
{
	put_u32(to, (uint32_t) model->n_phases);
	for (int32_t i = 0; i < model->n_phases; i++)
	{
		const mml_phase_summary *phase = &model->phases[i];

		put_i32(to, phase->phase);
		put_i32(to, phase->epochs);
		put_i32(to, phase->is_used);
		put_i64(to, phase->rows);
		put_f64(to, phase->train_logloss);
		put_f64(to, phase->valid_logloss);
		put_f64(to, phase->valid_auc);
		put_f64(to, phase->valid_wauc);
		put_text(to, phase->note);
	}
}

static void
put_fields(sink *to, const mml_model *model)
{
	put_u32(to, (uint32_t) model->n_fields - 1);
	for (int f = 0; f < model->n_fields - 1; f++)
	{
		const mml_field *field = &model->fields[f];

		put_text(to, field->name);
		put_i32(to, field->kind);
		put_i32(to, field->log1p);
		put_i32(to, field->standardize);
		put_i32(to, field->project);
		put_u32(to, field->hash_buckets);
		put_u32(to, field->width);
		put_u32(to, field->n_boundaries);
		put_array(to, field->boundaries, field->n_boundaries, sizeof(double));
		put_f64(to, field->mean);
		put_f64(to, field->inverse_std);
		put_u32(to, field->vocabulary.n);
		put_array(to, field->vocabulary.hashes, field->vocabulary.n, sizeof(uint64_t));
	}
}

static void
put_domains(sink *to, const mml_model *model)
{
	put_u32(to, model->names->n);
	for (uint32_t d = 0; d < model->names->n; d++)
	{
		const mml_domain *domain = &model->names->entries[d];

		put_text(to, domain->name);
		put_i64(to, domain->rows);
		put_i64(to, domain->positives);
		put_i64(to, domain->valid_rows);
		put_i32(to, domain->first_expert >= 0);
		put_f64(to, domain->backbone_auc);
		put_f64(to, domain->own_auc);
		put_f64(to, domain->gate_auc);
	}
}

static void
put_counts(sink *to, const uint64_t *counts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		put_u32(to, (uint32_t) counts[i]);
}

static void
put_group(sink *to, const mml_model *model, const mml_profile_group *group)
{
	const mml_score_profile *scores = &group->scores[model->facts.served];

	put_counts(to, group->counts, model->profile->n_bins);
	put_counts(to, group->valid, 2 * (size_t) model->profile->n_features);
	put_f64(to, scores->mean);
	put_counts(to, scores->counts, MML_SCORE_BINS);
}

static void
put_profile(sink *to, const mml_model *model)
{
	const mml_profile *profile = model->profile;

	for (uint32_t f = 0; f < profile->n_features; f++)
	{
		put_u32(to, profile->fields[f].n_cuts);
		put_array(to, profile->fields[f].cuts, profile->fields[f].n_cuts, sizeof(uint32_t));
	}
	put_group(to, model, &profile->all);
	for (uint32_t d = 0; d < profile->n_domains; d++)
	{
		put_i32(to, profile->domains[d] != NULL);
		if (profile->domains[d] != NULL)
			put_group(to, model, profile->domains[d]);
	}
	for (uint32_t d = 0; d < profile->n_domains; d++)
	{
		put_i32(to, profile->gates[d] != NULL);
		if (profile->gates[d] != NULL)
			put_array(to, profile->gates[d], 2 * (uint64_t) model->facts.n_experts, sizeof(float));
	}
}

static void
put_tensors(sink *to, const mml_model *model)
{
	for (int32_t i = 0; i < model->params->n_tensors; i++)
	{
		const mml_tensor *tensor = &model->params->tensors[i];

		put_text(to, tensor->name);
		put_i64(to, (int64_t) tensor->rows);
		put_i64(to, (int64_t) tensor->cols);
		put_array(to, mml_arena_at(&model->arena, tensor->value), tensor->rows * tensor->cols, sizeof(float));
	}
}

typedef struct section
{
	uint32_t	tag;
	void		(*emit) (sink *to, const mml_model *model);
} section;

static const section sections[MML_SECTIONS] = {
	{MML_TAG_CONFIG, put_config},
	{MML_TAG_FACTS, put_facts},
	{MML_TAG_PHASES, put_phases},
	{MML_TAG_FIELDS, put_fields},
	{MML_TAG_DOMAINS, put_domains},
	{MML_TAG_PROFILE, put_profile},
	{MML_TAG_TENSORS, put_tensors},
};

/* -------------------------------------------------------------------- save */

uint64_t
mml_model_saved_bytes(const mml_model *model)
{
	sink		counter = {.host = model->host};

	for (int i = 0; i < MML_SECTIONS; i++)
		sections[i].emit(&counter, model);
	return MML_FILE_HEAD + MML_SECTIONS * MML_SECTION_HEAD + counter.n;
}

uint64_t
mml_model_profile_bytes(const mml_model *model)
{
	sink		counter = {.host = model->host};

	put_profile(&counter, model);
	return MML_SECTION_HEAD + counter.n;
}

static mml_status
save_section(mml_host *host, const mml_model *model, const mml_writer *writer, const section *of)
{
	sink		counter = {.host = host,.wants_sum = true};
	sink		out = {.host = host,.writer = writer};

	mml_checksum_init(&counter.sum);
	of->emit(&counter, model);
	MML_TRY(counter.status);
	put_u32(&out, of->tag);
	put_u32(&out, 0);
	put_i64(&out, (int64_t) counter.n);
	put_i64(&out, (int64_t) mml_checksum_end(&counter.sum));
	of->emit(&out, model);
	return out.status;
}

mml_status
mml_model_save(mml_host *host, const mml_model *model, const mml_writer *writer)
{
	sink		out = {.host = host,.writer = writer};

	put(&out, MML_FILE_MAGIC, 8);
	put_u32(&out, MML_FILE_VERSION);
	put_u32(&out, MML_SECTIONS);
	put_i64(&out, (int64_t) mml_model_saved_bytes(model));
	MML_TRY(out.status);
	for (int i = 0; i < MML_SECTIONS; i++)
		MML_TRY(save_section(host, model, writer, &sections[i]));
	return MML_OK;
}
