/*
 * profile_training.c - takes the profile of the rows that a model is trained on:
 * how often each bin of each feature occurs, over all and by domain; what the
 * validation rows score; what a gate over the input does with them.
 *
 * It is the leader's work alone, from rows in canonical order: it depends neither
 * on the order of arrival nor on how many take part.
 */
#include <math.h>
#include <string.h>

#include "mml_profile.h"

#define ROWS_PER_POLL 4096
#define ROWS_AHEAD 16			/* records are asked for so long before */
#define N_QUANTILES 10

/* -------------------------------------------------------------------- cuts */

/* Room for values of one feature: sorted are keys of numbers, or ids. */
typedef struct cut_space
{
	size_t		held;
	size_t		n;				/* values now */
	mml_metric_space sort;
} cut_space;

static void
add_value(cut_space *space, uint32_t value)
{
	space->sort.keys[space->n++] = value;
}

/* The values of a row that are known, as far as there is room. */
static void
add_values(cut_space *space, const mml_rows *rows, size_t row, const mml_field *field)
{
	if (field->kind == MML_NUMERIC || field->kind == MML_VECTOR)
	{
		float		number = mml_profile_number(rows, row, field);

		if (!isnan(number))
			add_value(space, mml_profile_key(number));
	}
	else
	{
		const uint32_t *ids;
		uint32_t	n = mml_profile_ids(rows, row, field, &ids);

		for (uint32_t i = 0; i < n && space->n < space->held; i++)
			if (ids[i] >= MML_ID_FIRST)
				add_value(space, ids[i]);
	}
}

/* Of sorted values: the least, the quantiles, what follows the largest. */
static void
cut_numbers(const cut_space *space, mml_profile_field *to)
{
	for (size_t i = 0; i <= N_QUANTILES && space->n > 0; i++)
	{
		uint32_t	cut = i < N_QUANTILES ? (uint32_t) space->sort.keys[i * space->n / N_QUANTILES] :
			(uint32_t) space->sort.keys[space->n - 1] + 1;

		if (to->n_cuts == 0 || cut > to->cuts[to->n_cuts - 1])
			to->cuts[to->n_cuts++] = cut;
	}
}

/* Puts an id with its count among the most frequent ones, which stand in falling order. */
static void
add_frequent(mml_profile_field *to, size_t *counts, uint32_t id, size_t count)
{
	uint32_t	at = to->n_cuts;

	if (at == MML_PROFILE_CUTS && counts[at - 1] >= count)
		return;
	if (at < MML_PROFILE_CUTS)
		to->n_cuts++;
	else
		at--;
	for (; at > 0 && counts[at - 1] < count; at--)
	{
		counts[at] = counts[at - 1];
		to->cuts[at] = to->cuts[at - 1];
	}
	counts[at] = count;
	to->cuts[at] = id;
}

static void
sort_ids(uint32_t *ids, uint32_t n)
{
	for (uint32_t i = 1; i < n; i++)
	{
		uint32_t	id = ids[i];
		uint32_t	at = i;

		for (; at > 0 && ids[at - 1] > id; at--)
			ids[at] = ids[at - 1];
		ids[at] = id;
	}
}

/* Of sorted ids: the most frequent. */
static void
cut_ids(const cut_space *space, mml_profile_field *to)
{
	size_t		counts[MML_PROFILE_CUTS];

	for (size_t start = 0, end; start < space->n; start = end)
	{
		for (end = start + 1; end < space->n && space->sort.keys[end] == space->sort.keys[start];)
			end++;
		if ((end - start) * MML_PROFILE_RARE >= space->n)
			add_frequent(to, counts, (uint32_t) space->sort.keys[start], end - start);
	}
	sort_ids(to->cuts, to->n_cuts);
}

static mml_status
find_cuts(mml_rows *rows, cut_space *space)
{
	size_t		step = (rows->n_train + MML_PROFILE_CUT_ROWS - 1) / MML_PROFILE_CUT_ROWS;

	for (uint32_t f = 0; f < rows->profile->n_features; f++)
	{
		const mml_field *field = &rows->fields[f];

		space->n = 0;
		for (size_t i = 0; i < rows->n_train && space->n < space->held; i += step)
			add_values(space, rows, rows->order[i], field);
		MML_TRY(mml_sort(rows->host, space->sort.keys, space->sort.order, space->sort.spare_keys,
						 space->sort.spare_order, space->n));
		if (field->kind == MML_NUMERIC || field->kind == MML_VECTOR)
			cut_numbers(space, &rows->profile->fields[f]);
		else
			cut_ids(space, &rows->profile->fields[f]);
		MML_TRY(mml_poll(rows->host));
	}
	mml_profile_place(rows->profile);
	return MML_OK;
}

static mml_status
make_cuts(mml_rows *rows)
{
	cut_space	space = {.held = MML_MIN(rows->n_train + rows->item_end, MML_PROFILE_CUT_ROWS)};
	mml_status	status = mml_metric_space_create(rows->host, space.held, &space.sort);

	if (status == MML_OK)
		status = find_cuts(rows, &space);
	mml_metric_space_free(rows->host, &space.sort);
	return status;
}

/* ------------------------------------------------------------------ groups */

/* order: [n] the domains, those of most rows first, then by name. */
static mml_status
largest_domains(mml_host *host, const mml_names *names, uint32_t **order)
{
	mml_metric_space space;
	mml_status	status = mml_metric_space_create(host, names->n, &space);

	for (uint32_t d = 0; status == MML_OK && d < names->n; d++)
	{
		space.keys[d] = UINT64_MAX - (uint64_t) names->entries[d].rows;
		space.order[d] = d;
	}
	if (status == MML_OK)
		status = mml_sort(host, space.keys, space.order, space.spare_keys, space.spare_order, names->n);
	*order = NULL;
	if (status == MML_OK)
	{
		*order = space.order;
		space.order = NULL;
	}
	mml_metric_space_free(host, &space);
	return status;
}

static mml_status
open_groups(mml_rows *rows)
{
	mml_profile *profile = rows->profile;
	size_t		n_most = MML_PROFILE_WORDS / (size_t) mml_profile_group_words(profile);
	uint32_t   *order;
	mml_status	status;

	MML_TRY(mml_profile_open(rows->host, profile, &profile->all));
	MML_TRY(largest_domains(rows->host, rows->names, &order));
	status = MML_OK;
	for (uint32_t i = 0; status == MML_OK && i < rows->names->n && i < n_most; i++)
		if (rows->added == NULL || rows->names->entries[order[i]].rows > 0)
			status = mml_profile_open_domain(rows->host, profile, order[i]);
	mml_release(rows->host, order);
	return status;
}

/* ------------------------------------------------------------------- counts */

/* How many rows of a domain are passed over before the next one that is counted. */
static uint32_t
skip_of(int64_t n_rows)
{
	return (uint32_t) ((n_rows + MML_PROFILE_DOMAIN_ROWS - 1) / MML_PROFILE_DOMAIN_ROWS) - 1;
}

static size_t
step_of(size_t n_rows)
{
	return MML_MAX((n_rows + MML_PROFILE_ALL_ROWS - 1) / MML_PROFILE_ALL_ROWS, 1);
}

/* skipped: [domains] rows of each that are still to be passed over. */
static mml_status
count_training(mml_rows *rows, uint32_t *skipped)
{
	mml_profile *profile = rows->profile;
	size_t		step = step_of(rows->n_train);

	for (size_t i = 0; i < rows->n_train; i++)
	{
		size_t		row = rows->order[i];
		uint32_t	domain = mml_rows_record(rows, row)[MML_ROW_DOMAIN] - 1;

		if (i + ROWS_AHEAD < rows->n_train)
			MML_PREFETCH(mml_rows_record(rows, rows->order[i + ROWS_AHEAD]));
		if (i % ROWS_PER_POLL == ROWS_PER_POLL - 1)
			MML_TRY(mml_poll(rows->host));
		if (i % step == 0)
			mml_profile_count(profile, rows, row, profile->all.counts);
		if (profile->domains[domain] == NULL || skipped[domain]-- > 0)
			continue;
		skipped[domain] = skip_of(rows->names->entries[domain].rows - rows->names->entries[domain].valid_rows);
		mml_profile_count(profile, rows, row, profile->domains[domain]->counts);
	}
	return MML_OK;
}

/* Validation rows order[start .. end - 1]: how many values there are, and how many of them are unknown.  counts: [bins] */
static mml_status
count_valid(mml_rows *rows, size_t start, size_t end, size_t step, uint64_t *counts, uint64_t *valid)
{
	mml_profile *profile = rows->profile;

	memset(counts, 0, profile->n_bins * sizeof(uint64_t));
	for (size_t i = start; i < end; i += step)
	{
		mml_profile_count(profile, rows, rows->order[i], counts);
		if (i / step % ROWS_PER_POLL == 0)
			MML_TRY(mml_poll(rows->host));
	}
	for (uint32_t f = 0; f < profile->n_features; f++)
	{
		const mml_profile_field *field = &profile->fields[f];

		for (uint32_t bin = 0; bin < mml_profile_bins(field); bin++)
			valid[2 * f] += counts[field->first + bin];
		valid[2 * f + 1] = counts[field->first + MML_BIN_UNKNOWN];
	}
	return MML_OK;
}

/* Validation rows stand by domain, those of no known domain first. */
static mml_status
count_valid_rows(mml_rows *rows, uint64_t *counts)
{
	mml_profile *profile = rows->profile;
	size_t		end = rows->n_rows;

	MML_TRY(count_valid(rows, rows->n_train, rows->n_rows, step_of(rows->n_valid), counts, profile->all.valid));
	for (uint32_t d = profile->n_domains; d-- > 0;)
	{
		size_t		n = (size_t) rows->names->entries[d].valid_rows;

		end -= n;
		if (profile->domains[d] != NULL)
			MML_TRY(count_valid(rows, end, end + n, (size_t) skip_of((int64_t) MML_MAX(n, 1)) + 1, counts,
								profile->domains[d]->valid));
	}
	return MML_OK;
}

/* A domain more is counted in the bins that there are. */
static mml_status
take_cuts(mml_rows *rows)
{
	const mml_profile *before = rows->previous->profile;

	memcpy(rows->profile->fields, before->fields, before->n_features * sizeof(mml_profile_field));
	mml_profile_place(rows->profile);
	return MML_OK;
}

mml_status
mml_profile_rows(mml_rows *rows)
{
	uint32_t   *skipped = NULL;
	uint64_t   *counts = NULL;
	mml_status	status;

	MML_TRY(mml_profile_create(rows->host, rows->n_fields, rows->names->n, &rows->profile));
	MML_TRY(rows->added == NULL ? make_cuts(rows) : take_cuts(rows));
	MML_TRY(open_groups(rows));
	status = MML_NEW(rows->host, skipped, rows->names->n);
	if (status == MML_OK)
		status = MML_NEW(rows->host, counts, rows->profile->n_bins);
	if (status == MML_OK)
		status = count_training(rows, skipped);
	if (status == MML_OK)
		status = count_valid_rows(rows, counts);
	mml_release(rows->host, skipped);
	mml_release(rows->host, counts);
	return status;
}

/* ------------------------------------------------------------------- scores */

static void
add_scores(mml_score_profile *to, const float *logits, size_t n)
{
	double		sum = 0.0;

	memset(to, 0, sizeof(*to));
	for (size_t i = 0; i < n; i++)
	{
		sum += mml_sigmoid(logits[i]);
		to->counts[mml_profile_score_bin(logits[i])]++;
	}
	to->mean = n > 0 ? sum / (double) n : NAN;
}

void
mml_profile_note_scores(mml_profile *profile, mml_mode mode, const float *logits, const uint32_t *start)
{
	add_scores(&profile->all.scores[mode], logits, start[profile->n_domains + 1]);
	for (uint32_t d = 0; d < profile->n_domains; d++)
		if (profile->domains[d] != NULL)
			add_scores(&profile->domains[d]->scores[mode], logits + start[d + 1], start[d + 2] - start[d + 1]);
}

/* Scores are those of the mode that was served: where another one is now, there were no experts, and all modes were one. */
static void
copy_group(const mml_run *run, const mml_profile_group *from, mml_profile_group *to)
{
	const mml_profile *profile = run->rows->profile;

	memcpy(to->counts, from->counts, profile->n_bins * sizeof(uint64_t));
	memcpy(to->valid, from->valid, 2 * (size_t) profile->n_features * sizeof(uint64_t));
	to->scores[run->new_mode] = from->scores[run->rows->previous->facts.served];
}

mml_status
mml_profile_keep_others(mml_run *run)
{
	const mml_names *names = run->rows->names;
	const mml_model *before = run->rows->previous;
	mml_profile *profile = run->rows->profile;

	copy_group(run, &before->profile->all, &profile->all);
	for (uint32_t d = 0; d < profile->n_domains; d++)
	{
		int64_t		index = mml_names_find(before->names, names->entries[d].name, strlen(names->entries[d].name));

		if (index < 0 || before->profile->domains[index] == NULL)
			continue;
		if (profile->domains[d] == NULL)
			MML_TRY(mml_profile_open_domain(run->host, profile, d));
		copy_group(run, before->profile->domains[index], profile->domains[d]);
	}
	return MML_OK;
}

/* -------------------------------------------------------------------- gates */

mml_status
mml_profile_open_gates(mml_run *run)
{
	mml_rows   *rows = run->rows;
	size_t		words = 2 * (size_t) run->shape.n_experts;
	uint32_t   *order;
	mml_status	status;

	if (!run->shape.has_gate_input)
		return MML_OK;
	MML_TRY(largest_domains(rows->host, rows->names, &order));
	status = MML_OK;
	for (uint32_t i = 0; status == MML_OK && i < rows->names->n && (i + 1) * words <= MML_PROFILE_WORDS; i++)
		if (rows->profile->gates[order[i]] == NULL)
			status = MML_NEW(rows->host, rows->profile->gates[order[i]], words);
	mml_release(rows->host, order);
	return status;
}

void
mml_profile_close_gates(mml_host *host, mml_profile *profile)
{
	for (uint32_t d = 0; d < profile->n_domains; d++)
	{
		mml_release(host, profile->gates[d]);
		profile->gates[d] = NULL;
	}
}

/* Sums of the weights and of their squares, over validation rows [first, end): sums: [2 E]. */
static mml_status
sum_gates(mml_member *member, size_t first, size_t end, double *sums)
{
	mml_pass	pass = {.mode = MML_MODE_GATE,.gate = MML_GATE_INPUT};
	mml_batch  *batch = &member->batch;
	size_t		e = (size_t) member->run->shape.n_experts;

	for (size_t at = first; at < end; at += batch->capacity)
	{
		size_t		n = MML_MIN(end - at, batch->capacity);

		batch->row = member->order + member->run->n_train + at;
		mml_gather(&member->net, batch, 0, n);
		mml_gate_forward(&member->net, &pass, batch, 0, n);
		for (size_t i = 0; i < n * e; i++)
		{
			sums[i % e] += batch->g[i];
			sums[e + i % e] += (double) batch->g[i] * batch->g[i];
		}
		MML_TRY(mml_poll(member->host));
	}
	return MML_OK;
}

/* One domain's means and spreads from the sums over n rows. */
static void
set_gates(float *gates, const double *sums, size_t e, size_t n)
{
	for (size_t i = 0; i < e; i++)
	{
		double		mean = sums[i] / (double) n;

		gates[i] = (float) mean;
		gates[e + i] = (float) sqrt(MML_MAX(sums[e + i] / (double) n - mean * mean, 0.0));
	}
}

mml_status
mml_profile_note_gates(mml_member *member)
{
	const mml_run *run = member->run;
	mml_profile *profile = run->rows->profile;
	size_t		e = (size_t) run->shape.n_experts;
	double	   *sums = (double *) member->batch.dg; /* training is over: nobody needs gradients */

	for (uint32_t d = 0; run->shape.has_gate_input && d < profile->n_domains; d++)
	{
		size_t		first = member->valid_start[d + 1];
		size_t		end = member->valid_start[d + 2];

		if (profile->gates[d] == NULL)
			continue;
		if (run->facts.served != MML_MODE_GATE || end == first)
		{
			mml_release(run->host, profile->gates[d]);
			profile->gates[d] = NULL;
			continue;
		}
		memset(sums, 0, 2 * e * sizeof(double));
		MML_TRY(sum_gates(member, first, end, sums));
		set_gates(profile->gates[d], sums, e, end - first);
	}
	return MML_OK;
}
