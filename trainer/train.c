/*
 * train.c - the program of a recipe: which phases, from which start, and which
 * mode is served in the end (MODELS.md section 5).
 *
 * Every participant runs it; the leader writes down what it finds.  A pause ends
 * it in the middle: mml_course says where, and the next call goes on from there,
 * whoever takes part then.
 */
#include <math.h>
#include <string.h>

#include "mml_profile.h"

#define OWN_SHARE_GATE 0.95
#define OWN_SHARE_GATED 0.5
#define FINETUNE_RATE 0.2
#define GATE_RATE 10.0			/* a few numbers, far to go: ends where 1 does, mostly in fewer epochs */

/* A phase over all rows. */
typedef struct phase_kind
{
	mml_phase	phase;
	mml_mode	mode;
	uint32_t	groups;			/* that it trains */
	double		rate;			/* of the option's learning rate */
	double		own_share;		/* of a start: what the gate begins with */
} phase_kind;

static const phase_kind starts[] = {
	[MML_RECIPE_PAPER] = {MML_PHASE_BACKBONE, MML_MODE_BACKBONE, MML_GROUP_TABLE | MML_GROUP_BASE, 1.0, OWN_SHARE_GATE},
	[MML_RECIPE_JOINT] = {MML_PHASE_JOINT, MML_MODE_OWN, MML_GROUP_TABLE | MML_GROUP_BASE | MML_GROUP_EXPERT, 1.0, OWN_SHARE_GATE},
	[MML_RECIPE_GATED] = {MML_PHASE_GATED, MML_MODE_GATE, MML_GROUP_ALL, 1.0, OWN_SHARE_GATED},
};

static const phase_kind gate = {MML_PHASE_GATE, MML_MODE_GATE, MML_GROUP_GATE, GATE_RATE, 0.0};
static const phase_kind finetune = {MML_PHASE_FINETUNE, MML_MODE_GATE, MML_GROUP_ALL, FINETUNE_RATE, 0.0};

/* ----------------------------------------------------------------- helpers */

static bool
is_leader(const mml_member *member)
{
	return member->team.rank == 0;
}

/* The training rows in canonical order again. */
static void
reset_rows(mml_member *member)
{
	if (is_leader(member))
		memcpy(member->shuffled, member->order, member->run->n_train * sizeof(uint32_t));
	mml_barrier(member);
}

/* Work that can be counted on at most, for the fraction. */
static double
planned_work(const mml_run *run)
{
	double		epochs = run->config.epochs;
	double		pass = (double) run->n_train * epochs;
	int			n_starts = run->config.recipe == MML_RECIPE_AUTO ? 3 : 1;

	if (run->method != MML_MOE_MLORA)
		return pass;
	return pass * (n_starts + run->config.experts_per_domain + 1 + (run->config.finetune ? 1 : 0));
}

/* ------------------------------------------------------------------ phases */

/* A phase over all training rows, to its end or to a pause. */
static mml_status
run_whole_phase(mml_member *member, const phase_kind *kind)
{
	mml_run    *run = member->run;
	mml_cursor *cursor = &member->course->phase;
	mml_phase_plan plan = {
		.phase = kind->phase,.mode = kind->mode,.expert = -1,.groups = kind->groups,
		.learning_rate = run->config.learning_rate * kind->rate,
		.rows = member->shuffled,.n_rows = run->n_train,.n_valid = run->n_valid,.run_index = run->n_phases
	};

	if (cursor->n_ordered == 0)
		reset_rows(member);
	MML_TRY(mml_phase_run(member, &plan, cursor));
	if (is_leader(member) && cursor->is_over)
		mml_note_whole_phase(member, kind->phase);
	mml_barrier(member);
	return MML_OK;
}

/* Whether no expert is left to train. */
static bool
has_all_experts(const mml_member *member)
{
	for (int e = 0; e < member->run->params->shape.n_experts; e++)
		if (!member->cursors[e].is_over)
			return false;
	return true;
}

/* To the end of the phase, or to a pause. */
static mml_status
run_experts(mml_member *member, bool *is_over)
{
	mml_run    *run = member->run;
	mml_figures figures;

	MML_TRY(mml_train_experts(member));
	*is_over = has_all_experts(member);
	if (!*is_over)
		return MML_OK;
	MML_TRY(mml_evaluate(member, MML_MODE_OWN, &figures));
	if (is_leader(member))
	{
		mml_note_experts(member, &figures);
		run->work_done = member->course->work_before +
			(double) run->n_train * run->config.epochs * run->config.experts_per_domain;
	}
	mml_barrier(member);
	return MML_OK;
}

/* ------------------------------------------------------------------ recipe */

static mml_status
initialize(mml_member *member, double own_share)
{
	const mml_run *run = member->run;

	if (is_leader(member))
	{
		MML_TRY(mml_params_initialize(member->host, run->params, run->arena, run->config.seed, MML_GROUP_ALL,
									  run->config.gate_own_share > 0.0 ? run->config.gate_own_share : own_share));
		MML_TRY(mml_warm_overlay(member->host, run->rows, run->params, run->arena));
	}
	mml_barrier(member);
	return MML_OK;
}

static mml_status
keep_state(mml_member *member, mml_copy what)
{
	MML_TRY(mml_copy_states(member, MML_GROUP_ALL, what));
	mml_barrier(member);
	return MML_OK;
}

static mml_recipe
first_start(const mml_run *run)
{
	if (run->method != MML_MOE_MLORA)
		return run->method == MML_MLORA ? MML_RECIPE_JOINT : MML_RECIPE_PAPER;
	return run->config.recipe == MML_RECIPE_AUTO ? MML_RECIPE_PAPER : (mml_recipe) run->config.recipe;
}

static mml_recipe
last_start(const mml_run *run)
{
	return run->method == MML_MOE_MLORA && run->config.recipe == MML_RECIPE_AUTO ? MML_RECIPE_GATED : first_start(run);
}

/* The starts that the best one beats are not in the model. */
static void
drop_starts(mml_run *run, mml_recipe chosen)
{
	mml_recipe	first = first_start(run);

	for (mml_recipe recipe = first; recipe <= last_start(run); recipe++)
		if (recipe != chosen)
			mml_drop_phase(run, (int) (recipe - first));
}

/* Keeps the state of a start if it is the best so far; after the last, the best one's is in place. */
static mml_status
choose_start(mml_member *member)
{
	mml_course *course = member->course;
	const mml_run *run = member->run;
	const mml_figures *now = &course->phase.outcome.best;
	bool		is_best = !course->has_chosen || mml_figures_score(now) > mml_figures_score(&course->start);

	if (is_best && run->method == MML_MOE_MLORA)
		MML_TRY(keep_state(member, MML_COPY_VALUE_TO_KEPT));
	mml_barrier(member);
	if (is_leader(member) && is_best)
	{
		course->has_chosen = 1;
		course->chosen = course->recipe;
		course->start = *now;
	}
	mml_barrier(member);
	if ((mml_recipe) course->recipe < last_start(run))
		return MML_OK;
	if (is_leader(member))
		drop_starts(member->run, (mml_recipe) course->chosen);
	return course->chosen == course->recipe ? MML_OK : keep_state(member, MML_COPY_KEPT_TO_VALUE);
}

/* ------------------------------------------------------------------- serve */

/* The domains' AUCs in one mode from the logits that are there; NaN when the method has no such mode. */
static mml_status
note_domain_aucs(mml_member *member, mml_mode mode, bool has_mode, double *aucs)
{
	mml_run    *run = member->run;

	if (has_mode)
	{
		MML_TRY(mml_domain_aucs(member, aucs));
		mml_profile_note_scores(run->rows->profile, mode, member->logits, member->valid_start);
	}
	for (uint32_t d = 1; d < run->n_domain_ids; d++)
	{
		mml_domain *domain = &run->rows->names->entries[d - 1];
		double	   *place = mode == MML_MODE_BACKBONE ? &domain->backbone_auc :
			mode == MML_MODE_OWN ? &domain->own_auc : &domain->gate_auc;

		*place = has_mode ? aucs[d] : NAN;
	}
	return MML_OK;
}

/* Figures of every mode that the method has, and the AUCs of the domains in it. */
static mml_status
measure_modes(mml_member *member, mml_figures *figures, mml_mode *last)
{
	mml_run    *run = member->run;
	double	   *aucs = NULL;
	mml_status	status = MML_OK;

	*last = run->method == MML_MOE_MLORA ? MML_MODE_GATE : run->method == MML_MLORA ? MML_MODE_OWN : MML_MODE_BACKBONE;
	if (is_leader(member))
		MML_TRY(MML_NEW(member->host, aucs, run->n_domain_ids));
	for (mml_mode mode = MML_MODE_BACKBONE; status == MML_OK && mode <= MML_MODE_GATE; mode++)
	{
		if (mode <= *last)
			status = mml_evaluate(member, mode, &figures[mode]);
		if (status == MML_OK && is_leader(member))
			status = note_domain_aucs(member, mode, mode <= *last, aucs);
		/* the next evaluation writes over the logits that the leader reads */
		mml_barrier(member);
	}
	mml_release(member->host, aucs);
	return status;
}

/* Whether a mode is at least the backbone by WAUC too: what serves all rows better may serve the domains worse. */
static bool
is_servable(const mml_figures *figures, mml_mode mode)
{
	return !(figures[mode].wauc < figures[MML_MODE_BACKBONE].wauc);
}

/* The best mode by AUC of those, ties to the simpler one.  Without validation rows: the most complete. */
static mml_mode
best_mode(const mml_run *run, const mml_figures *figures, mml_mode last)
{
	mml_mode	best = MML_MODE_BACKBONE;

	if (run->config.serve != MML_SERVE_AUTO)
		return MML_MIN((mml_mode) (run->config.serve - MML_SERVE_BACKBONE), last);
	if (run->n_valid == 0)
		return last;
	for (mml_mode mode = MML_MODE_OWN; mode <= last; mode++)
		if (is_servable(figures, mode) && mml_figures_score(&figures[mode]) > mml_figures_score(&figures[best]))
			best = mode;
	return best;
}

static void
note_facts(mml_run *run, const mml_figures *figures, mml_mode served, mml_mode last)
{
	mml_model_facts *facts = &run->facts;

	memset(facts, 0, sizeof(*facts));
	facts->served = served;
	facts->n_experts = run->params->shape.n_experts;
	facts->has_own = last >= MML_MODE_OWN;
	facts->has_gate = last >= MML_MODE_GATE;
	facts->rows = (int64_t) (run->n_train + run->n_valid);
	facts->train_rows = (int64_t) run->n_train;
	facts->valid_rows = (int64_t) run->n_valid;
	facts->parameters = (int64_t) mml_params_count(run->params, MML_GROUP_ALL);
	facts->valid_auc = figures[served].auc;
	facts->valid_wauc = figures[served].wauc;
	facts->valid_logloss = figures[served].logloss;
}

/* What a warm start begins with is a candidate in the end, as it would be served. */
static mml_status
measure_warm_start(mml_member *member)
{
	mml_figures figures[MML_MODE_GATE + 1];
	mml_figures warm = {.logloss = NAN,.auc = NAN,.wauc = NAN};
	mml_mode	last;

	if (member->run->previous_version > 0)
	{
		MML_TRY(initialize(member, OWN_SHARE_GATE));
		MML_TRY(measure_modes(member, figures, &last));
		warm = figures[best_mode(member->run, figures, last)];
	}
	if (is_leader(member))
		member->course->warm = warm;
	return MML_OK;
}

/* Back to what a warm start began with. */
static mml_status
undo_phases(mml_member *member, mml_figures *figures, mml_mode *served, mml_mode *last)
{
	MML_TRY(initialize(member, OWN_SHARE_GATE));
	MML_TRY(measure_modes(member, figures, last));
	*served = best_mode(member->run, figures, *last);
	if (is_leader(member))
	{
		mml_drop_phases(member->run, 0);
		mml_add_note(member->run->phases, "what training began with was better and stays");
	}
	return MML_OK;
}

/*
 * A recipe never ends worse than it began: the chosen start reached its figures
 * in its own mode, and a warm start had some before.
 */
static mml_status
choose_served(mml_member *member)
{
	mml_run    *run = member->run;
	const mml_course *course = member->course;
	mml_figures figures[MML_MODE_GATE + 1];
	mml_mode	last;
	mml_mode	served;

	MML_TRY(measure_modes(member, figures, &last));
	served = best_mode(run, figures, last);
	if (run->method == MML_MOE_MLORA && run->config.serve == MML_SERVE_AUTO && run->n_valid > 0 &&
		mml_figures_score(&figures[served]) < mml_figures_score(&course->start))
	{
		MML_TRY(keep_state(member, MML_COPY_KEPT_TO_VALUE));
		MML_TRY(measure_modes(member, figures, &last));
		served = is_servable(figures, starts[course->chosen].mode) ? starts[course->chosen].mode : best_mode(run, figures, last);
		if (is_leader(member))
			mml_drop_phases(run, run->config.recipe == MML_RECIPE_AUTO ? 3 : 1);
	}
	if (mml_figures_score(&figures[served]) < mml_figures_score(&course->warm))
		MML_TRY(undo_phases(member, figures, &served, &last));
	if (is_leader(member))
		note_facts(run, figures, served, last);
	mml_barrier(member);
	return MML_OK;
}

/* --------------------------------------------- what other programs share in */

/* A phase over all rows that begins now, whatever was before. */
static mml_status
run_from_start(mml_member *member, const phase_kind *kind)
{
	if (is_leader(member))
	{
		memset(&member->course->phase, 0, sizeof(member->course->phase));
		member->course->work_before = member->run->work_done;
	}
	mml_barrier(member);
	return run_whole_phase(member, kind);
}

mml_status
mml_run_initialize(mml_member *member)
{
	return initialize(member, OWN_SHARE_GATE);
}

mml_status
mml_run_phase(mml_member *member, mml_phase phase, mml_mode mode, uint32_t groups)
{
	phase_kind	kind = {.phase = phase,.mode = mode,.groups = groups,.rate = 1.0};

	return run_from_start(member, &kind);
}

mml_status
mml_run_experts(mml_member *member)
{
	bool		is_over;

	return run_experts(member, &is_over);
}

mml_status
mml_run_gate(mml_member *member)
{
	return run_from_start(member, &gate);
}

mml_status
mml_measure_modes(mml_member *member, mml_figures *figures, mml_mode *last)
{
	return measure_modes(member, figures, last);
}

void
mml_note_facts(mml_run *run, const mml_figures *figures, mml_mode served, mml_mode last)
{
	note_facts(run, figures, served, last);
}

/* ----------------------------------------------------------------- program */

/* The phase over all rows that is next; NULL: something else is. */
static const phase_kind *
kind_of(const mml_course *course)
{
	switch ((mml_step) course->step)
	{
		case MML_STEP_START:
			return &starts[course->recipe];
		case MML_STEP_GATE:
			return &gate;
		case MML_STEP_FINETUNE:
			return &finetune;
		default:
			return NULL;
	}
}

static mml_status
run_phase(mml_member *member, bool *is_over)
{
	const mml_course *course = member->course;
	const phase_kind *kind = kind_of(course);
	bool		is_start = course->step == MML_STEP_START;

	if (is_start && !course->phase.is_begun)
		MML_TRY(initialize(member, kind->own_share));
	MML_TRY(run_whole_phase(member, kind));
	*is_over = course->phase.is_over != 0;
	return is_start && *is_over ? choose_start(member) : MML_OK;
}

/* What is next, to its end or to a pause. */
static mml_status
take_step(mml_member *member, bool *is_over)
{
	*is_over = true;
	switch ((mml_step) member->course->step)
	{
		case MML_STEP_WARM:
			return measure_warm_start(member);
		case MML_STEP_EXPERTS:
			return run_experts(member, is_over);
		case MML_STEP_SERVE:
			return choose_served(member);
		default:
			return run_phase(member, is_over);
	}
}

static mml_step
step_after(const mml_run *run, const mml_course *course)
{
	switch ((mml_step) course->step)
	{
		case MML_STEP_WARM:
			return MML_STEP_START;
		case MML_STEP_START:
			if ((mml_recipe) course->recipe < last_start(run))
				return MML_STEP_START;
			return run->method == MML_MOE_MLORA ? MML_STEP_EXPERTS : MML_STEP_SERVE;
		case MML_STEP_EXPERTS:
			return MML_STEP_GATE;
		case MML_STEP_GATE:
			return run->config.finetune ? MML_STEP_FINETUNE : MML_STEP_SERVE;
		case MML_STEP_FINETUNE:
			return MML_STEP_SERVE;
		default:
			return MML_STEP_END;
	}
}

/* By the leader: on to the next step. */
static void
advance(mml_run *run, mml_course *course)
{
	mml_step	before = (mml_step) course->step;

	course->step = step_after(run, course);
	if (before == MML_STEP_WARM)
		course->recipe = first_start(run);
	else if (course->step == MML_STEP_START)
		course->recipe++;
	memset(&course->phase, 0, sizeof(course->phase));
	course->has_experts = 0;
	course->is_grouped = 0;
	course->work_before = run->work_done;
}

/* Adding a domain has a program of its own, in which nobody pauses. */
static mml_status
run_addition(mml_member *member)
{
	MML_TRY(mml_run_addition(member));
	if (is_leader(member))
		member->course->step = MML_STEP_END;
	mml_barrier(member);
	return MML_OK;
}

mml_status
mml_run_execute(mml_member *member)
{
	mml_run    *run = member->run;
	mml_course *course = member->course;
	bool		is_over = true;

	if (is_leader(member))
	{
		run->work_total = planned_work(run);
		course->rows_since = 0;
	}
	mml_barrier(member);
	if (run->new_domain > 0)
		return run_addition(member);
	while (is_over && course->step != MML_STEP_END && !mml_pause_is_due(member))
	{
		MML_TRY(take_step(member, &is_over));
		mml_barrier(member);
		if (is_leader(member) && is_over)
			advance(run, course);
		mml_barrier(member);
	}
	return MML_OK;
}

/* ------------------------------------------------------------- checkpoints */

bool
mml_course_phase(const mml_course *course, mml_phase *phase, uint32_t *groups)
{
	const phase_kind *kind = kind_of(course);

	if (kind == NULL)
		return false;
	*phase = kind->phase;
	*groups = kind->groups;
	return true;
}

/* Phases that are over when a step begins. */
static int32_t
phases_before(const mml_run *run, const mml_course *course)
{
	int32_t		n_starts = (int32_t) last_start(run) - (int32_t) first_start(run) + 1;

	switch ((mml_step) course->step)
	{
		case MML_STEP_WARM:
			return 0;
		case MML_STEP_START:
			return course->recipe - (int32_t) first_start(run);
		case MML_STEP_EXPERTS:
			return n_starts;
		case MML_STEP_GATE:
			return n_starts + 1;
		case MML_STEP_FINETUNE:
			return n_starts + 2;
		default:
			return run->method == MML_MOE_MLORA ? n_starts + 2 + (run->config.finetune ? 1 : 0) : n_starts;
	}
}

bool
mml_course_check(const mml_run *run, const mml_course *course, int32_t n_phases)
{
	int32_t		first = (int32_t) first_start(run);
	int32_t		last = (int32_t) last_start(run);
	bool		has_experts = course->step == MML_STEP_EXPERTS || course->step == MML_STEP_GATE ||
		course->step == MML_STEP_FINETUNE;

	if (course->step < MML_STEP_WARM || course->step > MML_STEP_SERVE || (has_experts && run->method != MML_MOE_MLORA) ||
		(course->step == MML_STEP_FINETUNE && !run->config.finetune))
		return false;
	if (course->step > MML_STEP_WARM && (course->recipe < first || course->recipe > last))
		return false;
	if (course->step > MML_STEP_START ? !course->has_chosen || course->recipe != last :
		course->has_chosen != (course->step == MML_STEP_START && course->recipe > first))
		return false;
	if (course->has_chosen && (course->chosen < first || course->chosen > course->recipe))
		return false;
	return n_phases == phases_before(run, course);
}
