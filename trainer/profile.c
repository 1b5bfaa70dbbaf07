/*
 * profile.c - what a model keeps of the rows that it was trained on: its memory,
 * and into which bins rows fall.  The bins are drawn in mml_profile.h.
 */
#include <math.h>
#include <string.h>

#include "mml_profile.h"

#define BINS_PER_LOGIT 2

/* ------------------------------------------------------------------ memory */

mml_status
mml_profile_create(mml_host *host, int n_fields, uint32_t n_domains, mml_profile **profile)
{
	mml_status	status;

	MML_TRY(MML_NEW(host, *profile, 1));
	(*profile)->n_features = (uint32_t) n_fields - 1;
	(*profile)->n_domains = n_domains;
	status = MML_NEW(host, (*profile)->fields, (*profile)->n_features);
	if (status == MML_OK)
		status = MML_NEW(host, (*profile)->domains, n_domains);
	if (status == MML_OK)
		status = MML_NEW(host, (*profile)->gates, n_domains);
	if (status != MML_OK)
	{
		mml_profile_free(host, *profile);
		*profile = NULL;
	}
	return status;
}

static void
free_group(mml_host *host, mml_profile_group *group)
{
	mml_release(host, group->counts);
	mml_release(host, group->valid);
}

void
mml_profile_free(mml_host *host, mml_profile *profile)
{
	if (profile == NULL)
		return;
	free_group(host, &profile->all);
	for (uint32_t d = 0; profile->domains != NULL && d < profile->n_domains; d++)
	{
		if (profile->domains[d] == NULL)
			continue;
		free_group(host, profile->domains[d]);
		mml_release(host, profile->domains[d]);
	}
	for (uint32_t d = 0; profile->gates != NULL && d < profile->n_domains; d++)
		mml_release(host, profile->gates[d]);
	mml_release(host, profile->fields);
	mml_release(host, profile->domains);
	mml_release(host, profile->gates);
	mml_release(host, profile);
}

void
mml_profile_place(mml_profile *profile)
{
	profile->n_bins = 0;
	for (uint32_t f = 0; f < profile->n_features; f++)
	{
		profile->fields[f].first = profile->n_bins;
		profile->n_bins += mml_profile_bins(&profile->fields[f]);
	}
}

mml_status
mml_profile_open(mml_host *host, mml_profile *profile, mml_profile_group *group)
{
	for (int mode = 0; mode < MML_SERVABLE_MODES; mode++)
		group->scores[mode].mean = NAN;
	MML_TRY(MML_NEW(host, group->counts, profile->n_bins));
	return MML_NEW(host, group->valid, (size_t) profile->n_features * 2);
}

mml_status
mml_profile_open_domain(mml_host *host, mml_profile *profile, uint32_t domain)
{
	MML_TRY(MML_NEW(host, profile->domains[domain], 1));
	return mml_profile_open(host, profile, profile->domains[domain]);
}

uint64_t
mml_profile_group_words(const mml_profile *profile)
{
	return (uint64_t) profile->n_bins + 2 * (uint64_t) profile->n_features + MML_SCORE_BINS + 2;
}

size_t
mml_profile_bytes(const mml_profile *profile, int n_experts)
{
	size_t		group = mml_profile_group_words(profile) * sizeof(uint64_t) + sizeof(mml_profile_group);
	size_t		bytes = sizeof(*profile) + profile->n_features * sizeof(mml_profile_field) + group;

	for (uint32_t d = 0; d < profile->n_domains; d++)
		bytes += (profile->domains[d] != NULL ? group : 0) +
			(profile->gates[d] != NULL ? 2 * (size_t) n_experts * sizeof(float) : 0) + 2 * sizeof(void *);
	return bytes;
}

/* -------------------------------------------------------------------- bins */

static uint32_t
bin_of_id(const mml_profile_field *field, uint32_t id)
{
	uint32_t	low = 0;
	uint32_t	high = field->n_cuts;

	if (id < MML_ID_FIRST)
		return id == MML_ID_NULL ? MML_BIN_NULL : MML_BIN_UNKNOWN;
	while (low < high)
	{
		uint32_t	middle = (low + high) / 2;

		if (field->cuts[middle] < id)
			low = middle + 1;
		else
			high = middle;
	}
	return MML_BIN_FIRST + (low < field->n_cuts && field->cuts[low] == id ? low : field->n_cuts);
}

/* NaN is NULL. */
static uint32_t
bin_of_number(const mml_profile_field *field, float number)
{
	uint32_t	n_below = 0;
	uint32_t	key;

	if (isnan(number))
		return MML_BIN_NULL;
	key = mml_profile_key(number);
	for (uint32_t i = 0; i < field->n_cuts; i++)
		n_below += field->cuts[i] <= key;
	return MML_BIN_FIRST + n_below;
}

float
mml_profile_number(const mml_rows *rows, size_t row, const mml_field *field)
{
	double		sum = 0.0;
	float		number;

	if (field->kind == MML_NUMERIC)
	{
		memcpy(&number, mml_rows_record(rows, row) + field->slot + 1, sizeof(number));
		return number;
	}
	for (uint32_t i = 0; i < field->width; i++)
	{
		double		x = mml_rows_vectors(rows, row)[field->vector_start + i];

		sum += x * x;
	}
	return sum == 0.0 ? NAN : (float) sqrt(sum);
}

uint32_t
mml_profile_ids(const mml_rows *rows, size_t row, const mml_field *field, const uint32_t **ids)
{
	const uint32_t *slot = mml_rows_record(rows, row) + field->slot;

	*ids = slot;
	if (field->kind == MML_CATEGORICAL)
		return 1;
	if (slot[1] > 0)
		*ids = (const uint32_t *) mml_arena_at(&rows->arena, rows->item_pages[slot[0] >> MML_ITEM_SHIFT]) +
			(slot[0] & (((uint32_t) 1 << MML_ITEM_SHIFT) - 1));
	return slot[1];
}

void
mml_profile_count(const mml_profile *profile, const mml_rows *rows, size_t row, uint64_t *counts)
{
	for (uint32_t f = 0; f < profile->n_features; f++)
	{
		const mml_field *field = &rows->fields[f];
		const mml_profile_field *bins = &profile->fields[f];
		const uint32_t *ids;
		uint32_t	n;

		if (field->kind == MML_NUMERIC || field->kind == MML_VECTOR)
		{
			counts[bins->first + bin_of_number(bins, mml_profile_number(rows, row, field))]++;
			continue;
		}
		n = mml_profile_ids(rows, row, field, &ids);
		for (uint32_t i = 0; i < n; i++)
			counts[bins->first + bin_of_id(bins, ids[i])]++;
		if (n == 0)
			counts[bins->first + MML_BIN_NULL]++;
	}
}

bool
mml_model_knows_domain(const mml_model *model, const char *name, size_t length)
{
	return mml_names_find(model->names, name, length) >= 0;
}

void
mml_rows_count_unknown(const mml_rows *rows, uint64_t *counts)
{
	for (int f = 0; f < rows->n_fields; f++)
	{
		const mml_field *field = &rows->fields[f];
		const uint32_t *ids;

		if (!mml_field_has_vocabulary(field))
			continue;
		for (size_t row = 0; row < rows->n_rows; row++)
		{
			uint32_t	n = mml_profile_ids(rows, row, field, &ids);

			for (uint32_t i = 0; i < n; i++)
				counts[f] += ids[i] == MML_ID_UNKNOWN;
		}
	}
}

int
mml_profile_score_bin(float logit)
{
	float		bin = floorf(logit * BINS_PER_LOGIT) + MML_SCORE_BINS / 2;

	return (int) MML_MIN(MML_MAX(bin, 0.0f), (float) (MML_SCORE_BINS - 1));
}
