/*
 * add_domain.c - one domain more for a model that is trained (MODELS.md section
 * 6): its row of embedding and linear table, its experts and its row of the gate
 * learn, everything else stays bit by bit.
 *
 * The rows start warm (warm.c, warm_values.c), so all that the model has is in
 * its place.  In the gate the other domains' rows get -infinity for the new
 * experts: their weight is exactly 0, and folding skips them (fold.c).
 */
#include <math.h>
#include <string.h>

#include "mml_profile.h"
#include "mml_train.h"

#define OWN_LOGIT 5.0f			/* of experts beside which none are let in: when they are, at 0, these weigh most */

/* What the training may choose: all else says what the model is. */
static void
take_training(const mml_config *from, mml_config *to)
{
	to->epochs = from->epochs;
	to->patience = from->patience;
	to->batch_size = from->batch_size;
	to->dropout = from->dropout;
	to->gate_own_share = from->gate_own_share;
	to->gate_entropy = from->gate_entropy;
	to->learning_rate = from->learning_rate;
	to->l2 = from->l2;
	to->validation = from->validation;
	to->max_seconds = from->max_seconds;
	to->seed = from->seed;
}

void
mml_added_config(const mml_rows *rows, mml_config *config)
{
	mml_config	given = *config;

	if (rows->added == NULL)
		return;
	*config = rows->previous->config;
	take_training(&given, config);
}

uint32_t
mml_added_domain(const mml_rows *rows)
{
	if (rows->added == NULL)
		return 0;
	return (uint32_t) (mml_names_find(rows->names, rows->added, strlen(rows->added)) + 1);
}

/*
 * That of the version before: the other domains' scores depend on it.  Where that
 * had no experts, they have none in any mode.
 */
mml_mode
mml_added_mode(const mml_rows *rows)
{
	const mml_model *before = rows->previous;

	if (before->facts.n_experts > 0 || before->config.serve == MML_SERVE_BACKBONE)
		return before->facts.served;
	if (before->config.method == MML_MLORA || before->config.serve == MML_SERVE_OWN)
		return MML_MODE_OWN;
	return MML_MODE_GATE;
}

mml_status
mml_added_check(const mml_rows *rows)
{
	uint32_t	added = mml_added_domain(rows);

	if (rows->added == NULL)
		return MML_OK;
	for (uint32_t d = 0; d < rows->names->n; d++)
		if (d + 1 != added && (rows->names->entries[d].rows > 0 || rows->names->n != rows->previous->names->n + 1))
			return mml_fail(rows->host, MML_BAD_DATA, "rows of another domain than \"%.200s\"", rows->added);
	return MML_OK;
}

/* -------------------------------------------------------------------- rows */

static mml_status
check_version(const mml_rows *rows, const char *domain, size_t length)
{
	const mml_model *before = rows->previous;
	mml_host   *host = rows->host;

	if (before->config.method == MML_BACKBONE)
	{
		(void) mml_fail(host, MML_BAD_OPTION, "cannot add a domain to version %d: it has no experts", rows->previous_version);
		mml_fail_detail(host, "It was trained with method \"backbone\".");
		mml_fail_hint(host, "Train it with method \"moe_mlora\" or \"mlora\".");
		return MML_BAD_OPTION;
	}
	if (before->config.method == MML_MOE_MLORA && before->config.gate == MML_GATE_INPUT)
	{
		(void) mml_fail(host, MML_BAD_OPTION, "cannot add a domain to version %d: its gate weighs by input",
						rows->previous_version);
		mml_fail_detail(host, "One softmax over the experts serves all domains: with more experts all scores would change.");
		mml_fail_hint(host, "Train with gate \"domain\", or train again with the rows of all domains.");
		return MML_BAD_OPTION;
	}
	if (mml_names_find(before->names, domain, length) >= 0)
	{
		(void) mml_fail(host, MML_BAD_OPTION, "version %d knows domain \"%.200s\" already", rows->previous_version, rows->added);
		mml_fail_hint(host, "Train it again with the rows of all domains.");
		return MML_BAD_OPTION;
	}
	return MML_OK;
}

mml_status
mml_rows_add_domain(mml_rows *rows, mml_model *previous, int32_t version, const char *domain, size_t length)
{
	rows->previous = previous;
	rows->previous_version = version;
	MML_TRY(mml_alloc(rows->host, (void **) &rows->added, length + 1, 1));
	memcpy(rows->added, domain, length);
	MML_TRY(check_version(rows, domain, length));
	mml_added_config(rows, &rows->config);
	return mml_rows_start_from(rows, previous, version);
}

void
mml_rows_set_validation(mml_rows *rows, double share)
{
	rows->config.validation = share;
}

uint32_t
mml_rows_new_values(const mml_rows *rows, int feature)
{
	return rows->fields[feature].vocabulary.n - rows->previous->fields[feature].vocabulary.n;
}

/* ------------------------------------------------------------------- state */

const mml_field_tensors *
mml_added_tables(const mml_member *member)
{
	const mml_run *run = member->run;

	return run->new_domain == 0 ? NULL : &run->params->of_field[run->n_fields - 1];
}

static float *
values_of(const mml_run *run, int32_t tensor)
{
	return mml_arena_at(run->arena, run->params->tensors[tensor].value);
}

/* The new domain's row of its tables: embedding: [d], and the linear term. */
static void
put_row(const mml_member *member, const float *embedding, const float *linear)
{
	const mml_run *run = member->run;
	const mml_field_tensors *of = mml_added_tables(member);
	size_t		d = (size_t) run->shape.dim;

	memcpy(values_of(run, of->embedding) + run->new_domain * d, embedding, d * sizeof(float));
	if (of->linear >= 0)
		values_of(run, of->linear)[run->new_domain] = *linear;
}

/*
 * The domain was scored so far with the row of unknown domains: where that does
 * better than the mean of the known ones, it begins there.
 */
static mml_status
choose_start(mml_member *member)
{
	const mml_run *run = member->run;
	const mml_field_tensors *of = mml_added_tables(member);
	size_t		d = (size_t) run->shape.dim;
	mml_figures mean;
	mml_figures unknown;
	float	   *held = NULL;
	float		held_linear = 0.0f;

	if (run->n_valid == 0)
		return MML_OK;
	MML_TRY(mml_evaluate(member, MML_MODE_BACKBONE, &mean));
	if (member->is_leader)
	{
		MML_TRY(MML_NEW(member->host, held, d));
		memcpy(held, values_of(run, of->embedding) + run->new_domain * d, d * sizeof(float));
		held_linear = of->linear < 0 ? 0.0f : values_of(run, of->linear)[run->new_domain];
		put_row(member, values_of(run, of->embedding), of->linear < 0 ? NULL : values_of(run, of->linear));
	}
	mml_barrier(member);
	MML_TRY(mml_evaluate(member, MML_MODE_BACKBONE, &unknown));
	if (member->is_leader && !(mml_figures_score(&unknown) > mml_figures_score(&mean)))
		put_row(member, held, &held_linear);
	mml_release(member->host, held);
	mml_barrier(member);
	return MML_OK;
}

static mml_status
initialize(mml_member *member)
{
	mml_run    *run = member->run;

	if (member->is_leader)
		run->work_total = (double) run->n_train * run->config.epochs *
			(1 + run->config.experts_per_domain + (run->method == MML_MOE_MLORA));
	MML_TRY(mml_run_initialize(member));
	return choose_start(member);
}

/* The gate gives the new domain none but its own experts, all alike. */
static void
shut_out_others(const mml_run *run)
{
	size_t		e = (size_t) run->shape.n_experts;
	size_t		k = (size_t) run->shape.per_domain;
	size_t		first = (size_t) ((const int32_t *) mml_arena_at(run->arena, run->domain_expert))[run->new_domain];
	float	   *logits = values_of(run, run->params->gate_domain) + first / k * e;

	for (size_t i = 0; i < e; i++)
		logits[i] = i >= first && i < first + k ? OWN_LOGIT : -INFINITY;
}

/* The new experts add nothing. */
static void
silence_experts(const mml_run *run)
{
	size_t		k = (size_t) run->shape.per_domain;
	size_t		first = (size_t) ((const int32_t *) mml_arena_at(run->arena, run->domain_expert))[run->new_domain];

	for (int l = 0; l < run->shape.n_layers; l++)
	{
		size_t		out = (size_t) run->shape.width[l + 1];
		size_t		r = (size_t) run->shape.rank[l];

		memset(values_of(run, run->params->up[l]) + first * r * out, 0, k * r * out * sizeof(float));
		memset(values_of(run, run->params->expert_bias[l]) + first * out, 0, k * out * sizeof(float));
	}
}

/* ------------------------------------------------------------------- serve */

static bool
is_better(const mml_figures *a, const mml_figures *b)
{
	return mml_figures_score(a) > mml_figures_score(b);
}

/* By the leader: `change` undoes what the phases from number `first` on have learned. */
static void
undo(mml_run *run, int first, void (*change) (const mml_run *run))
{
	change(run);
	mml_drop_phases(run, first);
}

/*
 * The new domain is served no worse than by the backbone: else without what the
 * gate learned, or the experts too.
 */
static mml_status
settle(mml_member *member, mml_figures *figures, mml_mode *last)
{
	mml_run    *run = member->run;
	mml_mode	mode = run->new_mode;

	MML_TRY(mml_measure_modes(member, figures, last));
	if (mode == MML_MODE_BACKBONE || run->n_valid == 0)
		return MML_OK;
	if (mode == MML_MODE_GATE &&
		(is_better(&figures[MML_MODE_OWN], &figures[mode]) || is_better(&figures[MML_MODE_BACKBONE], &figures[mode])))
	{
		if (member->is_leader)
			undo(run, run->n_phases - 1, shut_out_others);
		mml_barrier(member);
		MML_TRY(mml_measure_modes(member, figures, last));
	}
	if (is_better(&figures[MML_MODE_BACKBONE], &figures[mode]))
	{
		if (member->is_leader)
			undo(run, 1, silence_experts);
		mml_barrier(member);
		MML_TRY(mml_measure_modes(member, figures, last));
	}
	return MML_OK;
}

/* AUC of a domain in the mode that serves. */
static double
served_auc(const mml_run *run, const mml_domain *domain)
{
	return run->new_mode == MML_MODE_BACKBONE ? domain->backbone_auc :
		run->new_mode == MML_MODE_OWN ? domain->own_auc : domain->gate_auc;
}

/* The other domains have the rows and figures that they had. */
static void
restore_domains(mml_run *run)
{
	const mml_names *before = run->rows->previous->names;

	for (uint32_t d = 0; d < run->rows->names->n; d++)
	{
		mml_domain *domain = &run->rows->names->entries[d];
		int64_t		index = mml_names_find(before, domain->name, strlen(domain->name));
		const char *name = domain->name;
		int32_t		first_expert = domain->first_expert;

		if (index < 0)
			continue;
		*domain = before->entries[index];
		domain->name = name;
		domain->first_expert = first_expert;
	}
}

/*
 * Figures of the model with all its domains, as far as those of the version
 * before and of the new domain tell: an AUC over all rows they do not.
 */
static void
join_facts(mml_run *run)
{
	const mml_model_facts *before = &run->rows->previous->facts;
	mml_model_facts *facts = &run->facts;
	double		sum = 0.0;
	double		weight = 0.0;

	for (uint32_t d = 0; d < run->rows->names->n; d++)
	{
		const mml_domain *domain = &run->rows->names->entries[d];
		double		auc = served_auc(run, domain);

		if (isnan(auc))
			continue;
		sum += (double) domain->valid_rows * auc;
		weight += (double) domain->valid_rows;
	}
	facts->valid_auc = NAN;
	facts->valid_wauc = weight > 0.0 ? sum / weight : NAN;
	if (before->valid_rows > 0 && facts->valid_rows > 0)
		facts->valid_logloss = (before->valid_logloss * (double) before->valid_rows +
								facts->valid_logloss * (double) facts->valid_rows) /
			(double) (before->valid_rows + facts->valid_rows);
	else if (before->valid_rows > 0)
		facts->valid_logloss = before->valid_logloss;
	facts->rows += before->rows;
	facts->train_rows += before->train_rows;
	facts->valid_rows += before->valid_rows;
}

/* ----------------------------------------------------------------- program */

mml_status
mml_run_addition(mml_member *member)
{
	mml_run    *run = member->run;
	mml_figures figures[MML_MODE_GATE + 1];
	mml_mode	last;

	MML_TRY(initialize(member));
	MML_TRY(mml_run_phase(member, MML_PHASE_DOMAIN, MML_MODE_BACKBONE, MML_GROUP_TABLE));
	MML_TRY(mml_run_experts(member));
	if (run->method == MML_MOE_MLORA)
		MML_TRY(mml_run_gate(member));
	MML_TRY(settle(member, figures, &last));
	if (member->is_leader)
	{
		if (run->new_mode == MML_MODE_BACKBONE)
			mml_add_note(&run->phases[1], "not served: this model serves its backbone to all domains");
		mml_note_facts(run, figures, run->new_mode, last);
		restore_domains(run);
		MML_TRY(mml_profile_keep_others(run));
		join_facts(run);
	}
	mml_barrier(member);
	return MML_OK;
}
