/*
 * warm_values.c - a warm start: the values of the version that training goes on
 * from, written over the initial ones.  Rows of tables follow their value or
 * domain, parts of experts their domain; all else is copied as it is.
 */
#include <math.h>
#include <string.h>

#include "mml_layers.h"

#define PIECE ((size_t) 1 << 20)	/* floats between two polls */

typedef struct overlay
{
	mml_host   *host;
	const mml_rows *rows;
	const mml_model *previous;
	const mml_params *params;
	const mml_arena *arena;
	int32_t    *expert;			/* [E] which expert of that version it was, -1 = none */
	int32_t		next;			/* where the tensor after the last one found may stand */
	size_t		n_copied;		/* since the last poll */
	/* the tensor at work, there and here */
	const mml_tensor *from;
	const mml_tensor *to;
	const float *source;
	float	   *target;
} overlay;

/* ------------------------------------------------------------------- parts */

static mml_status
copy(overlay *at, size_t to, size_t from, size_t n)
{
	memcpy(at->target + to, at->source + from, n * sizeof(float));
	at->n_copied += n;
	if (at->n_copied < PIECE)
		return MML_OK;
	at->n_copied = 0;
	return mml_poll(at->host);
}

/* Row `from` of that version is row `to` now. */
static mml_status
copy_row(overlay *at, size_t to, size_t from)
{
	size_t		n = (size_t) at->to->cols;

	return copy(at, to * n, from * n, n);
}

static mml_status
copy_all(overlay *at)
{
	size_t		n = (size_t) (at->to->rows * at->to->cols);

	for (size_t i = 0; i < n; i += PIECE)
		MML_TRY(copy(at, i, i, MML_MIN(n - i, PIECE)));
	return MML_OK;
}

static mml_status
copy_values(overlay *at)
{
	const mml_vocabulary *before = &at->previous->fields[at->to->field].vocabulary;
	const mml_vocabulary *now = &at->rows->fields[at->to->field].vocabulary;

	for (uint32_t id = 0; id < MML_ID_FIRST; id++)
		MML_TRY(copy_row(at, id, id));
	for (uint32_t i = 0; i < before->n; i++)
		MML_TRY(copy_row(at, mml_vocabulary_find(now, before->hashes[i]), i + MML_ID_FIRST));
	return MML_OK;
}

/* row: [cols] = the mean of that version's known domains */
static mml_status
put_mean(overlay *at, float *row)
{
	size_t		cols = (size_t) at->from->cols;
	size_t		rows = (size_t) at->from->rows;

	for (size_t j = 0; j < cols && rows > 1; j++)
	{
		double		sum = 0.0;

		for (size_t i = 1; i < rows; i++)
			sum += at->source[i * cols + j];
		row[j] = (float) (sum / (double) (rows - 1));
		MML_TRY(mml_poll(at->host));
	}
	return MML_OK;
}

/* A new domain begins at the mean of the known ones. */
static mml_status
copy_domains(overlay *at)
{
	const mml_names *names = at->rows->names;
	const mml_names *before = at->previous->names;
	size_t		cols = (size_t) at->to->cols;
	float	   *mean = NULL;

	MML_TRY(copy_row(at, 0, 0));
	for (uint32_t d = 0; d < names->n; d++)
	{
		const char *name = names->entries[d].name;
		int64_t		index = mml_names_find(before, name, strlen(name));
		float	   *row = at->target + (d + 1) * cols;

		if (index >= 0)
			MML_TRY(copy_row(at, d + 1, (size_t) index + 1));
		else if (mean != NULL)
			memcpy(row, mean, cols * sizeof(float));
		else
		{
			MML_TRY(put_mean(at, row));
			mean = row;
		}
	}
	return MML_OK;
}

/* ----------------------------------------------------------------- experts */

/* Each expert has as many neighbouring columns. */
static mml_status
copy_columns(overlay *at)
{
	size_t		cols = (size_t) at->to->cols;
	size_t		n_experts = (size_t) at->params->shape.n_experts;
	size_t		width = cols / n_experts;

	for (size_t i = 0; i < at->to->rows; i++)
		for (size_t e = 0; e < n_experts; e++)
			if (at->expert[e] >= 0)
				MML_TRY(copy(at, i * cols + e * width, i * (size_t) at->from->cols + (size_t) at->expert[e] * width,
							 width));
	return MML_OK;
}

/* Each expert has as many neighbouring rows. */
static mml_status
copy_blocks(overlay *at)
{
	size_t		n_experts = (size_t) at->params->shape.n_experts;
	size_t		n = (size_t) (at->to->rows / n_experts * at->to->cols);

	for (size_t e = 0; e < n_experts; e++)
		if (at->expert[e] >= 0)
			MML_TRY(copy(at, e * n, (size_t) at->expert[e] * n, n));
	return MML_OK;
}

/* The smallest finite one of n logits: an expert may have been shut out by one that is not. */
static float
smallest(const float *logits, size_t n)
{
	float		least = INFINITY;

	for (size_t i = 0; i < n; i++)
		if (isfinite(logits[i]))
			least = MML_MIN(least, logits[i]);
	return isfinite(least) ? least : 0.0f;
}

/*
 * One row of logits over the experts: those that are new begin at the smallest,
 * those that were shut out where a gate that knows nothing has them.  Where a
 * domain is added, the row must weigh the experts as it did, bit by bit: the new
 * ones are shut out.
 */
static mml_status
copy_logits(overlay *at, size_t to, size_t from)
{
	bool		is_frozen = at->rows->added != NULL;
	size_t		n_experts = (size_t) at->to->cols;
	size_t		n_before = (size_t) at->from->cols;
	const float *source = at->source + from * n_before;
	float	   *target = at->target + to * n_experts;
	float		least = smallest(source, n_before);

	for (size_t e = 0; e < n_experts; e++)
	{
		if (at->expert[e] < 0)
			target[e] = is_frozen ? -INFINITY : least;
		else if (is_frozen || isfinite(source[at->expert[e]]))
			target[e] = source[at->expert[e]];
		else
			target[e] = MML_MIN(least, 0.0f);
	}
	return mml_poll(at->host);
}

/*
 * The rows of domains that had one.  A gate over one domain's experts alone has
 * learned nothing about others: it begins as any gate does.
 */
static mml_status
copy_gate(overlay *at)
{
	int			k = at->params->shape.per_domain;

	if (at->previous->params->shape.n_experts == k && at->rows->added == NULL)
		return MML_OK;
	for (int e = 0; e < at->params->shape.n_experts; e += k)
		if (at->expert[e] >= 0)
			MML_TRY(copy_logits(at, (size_t) (e / k), (size_t) (at->expert[e] / k)));
	return MML_OK;
}

static mml_status
copy_gate_bias(overlay *at)
{
	return copy_logits(at, 0, 0);
}

/* ----------------------------------------------------------------- tensors */

/* How a tensor follows the union: whether it has as many rows and columns, in all or for each expert. */
typedef struct way
{
	mml_status	(*take) (overlay *at);
	bool		same_rows;
	bool		same_cols;
	bool		rows_by_expert;
	bool		cols_by_expert;
} way;

static const way way_whole = {.take = copy_all,.same_rows = true,.same_cols = true};
static const way way_values = {.take = copy_values,.same_cols = true};
static const way way_domains = {.take = copy_domains,.same_cols = true};
static const way way_columns = {.take = copy_columns,.same_rows = true,.same_cols = true,.cols_by_expert = true};
static const way way_blocks = {.take = copy_blocks,.same_rows = true,.same_cols = true,.rows_by_expert = true};
static const way way_gate = {.take = copy_gate};
static const way way_gate_bias = {.take = copy_gate_bias};

static const way *
way_of(const overlay *at, int32_t tensor)
{
	const mml_tensor *to = &at->params->tensors[tensor];

	if (to->part == MML_PART_UP || to->part == MML_PART_BIAS)
		return &way_blocks;
	if (to->part == MML_PART_DOWN || tensor == at->params->gate_input_weight)
		return &way_columns;
	if (tensor == at->params->gate_input_bias)
		return &way_gate_bias;
	if (tensor == at->params->gate_domain)
		return &way_gate;
	if (to->field < 0 || to->group != MML_GROUP_TABLE)
		return &way_whole;
	if (at->rows->fields[to->field].is_domain)
		return &way_domains;
	return mml_field_has_vocabulary(&at->rows->fields[to->field]) ? &way_values : &way_whole;
}

static bool
is_same(uint64_t to, uint64_t from, const overlay *at, bool by_expert)
{
	if (by_expert)
		return to / (uint64_t) at->params->shape.n_experts ==
			from / (uint64_t) at->previous->params->shape.n_experts;
	return to == from;
}

/* The options were compared; that the shapes agree is what memory depends on. */
static mml_status
check_shape(const overlay *at, const way *how)
{
	if ((!how->same_rows || is_same(at->to->rows, at->from->rows, at, how->rows_by_expert)) &&
		(!how->same_cols || is_same(at->to->cols, at->from->cols, at, how->cols_by_expert)))
		return MML_OK;
	(void) mml_fail(at->host, MML_BAD_OPTION, "cannot start from version %d: tensor \"%s\" has another shape",
					at->rows->previous_version, at->to->name);
	mml_fail_detail(at->host, "It is %llu x %llu, there it is %llu x %llu.",
					(unsigned long long) at->to->rows, (unsigned long long) at->to->cols,
					(unsigned long long) at->from->rows, (unsigned long long) at->from->cols);
	mml_fail_hint(at->host, "Train without \"warm_start\".");
	return MML_BAD_OPTION;
}

/* The tensor of that version, or NULL.  Both tables have one order, but either may lack some. */
static const mml_tensor *
find_before(overlay *at, const mml_tensor *tensor)
{
	const mml_params *before = at->previous->params;

	for (int32_t i = at->next; i < before->n_tensors; i++)
	{
		if (before->tensors[i].field != tensor->field || strcmp(before->tensors[i].name, tensor->name) != 0)
			continue;
		at->next = i + 1;
		return &before->tensors[i];
	}
	return NULL;
}

static void
map_experts(overlay *at)
{
	int			k = at->params->shape.per_domain;

	for (uint32_t d = 0; d < at->rows->names->n; d++)
	{
		int32_t		now = at->rows->domain_expert[d + 1];
		int32_t		before = mml_warm_expert(at->rows, d);

		for (int i = 0; now >= 0 && i < k; i++)
			at->expert[now + i] = before < 0 ? -1 : before + i;
	}
}

mml_status
mml_warm_overlay(mml_host *host, const mml_rows *rows, const mml_params *params, const mml_arena *arena)
{
	overlay		at = {.host = host,.rows = rows,.previous = rows->previous,.params = params,.arena = arena};
	mml_status	status = MML_OK;

	if (rows->previous == NULL)
		return MML_OK;
	MML_TRY(MML_NEW(host, at.expert, (size_t) params->shape.n_experts));
	if (params->shape.n_experts > 0)
		map_experts(&at);
	for (int32_t i = 0; status == MML_OK && i < params->n_tensors; i++)
	{
		const way  *how = way_of(&at, i);

		at.to = &params->tensors[i];
		at.from = find_before(&at, at.to);
		if (at.from == NULL)
			continue;
		at.source = mml_arena_at(&at.previous->arena, at.from->value);
		at.target = mml_arena_at(arena, at.to->value);
		status = check_shape(&at, how);
		if (status == MML_OK)
			status = how->take(&at);
	}
	mml_release(host, at.expert);
	return status;
}
