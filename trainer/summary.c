/*
 * summary.c - what the phases of a training did, in figures and in words: the
 * rows that moemlora_train() returns.  By the leader.
 */
#include <math.h>
#include <string.h>

#include "mml_train.h"

static mml_phase_summary *
new_summary(mml_run *run, mml_phase phase)
{
	mml_phase_summary *summary = &run->phases[run->n_phases++];

	memset(summary, 0, sizeof(*summary));
	summary->phase = phase;
	summary->is_used = 1;
	return summary;
}

void
mml_add_note(mml_phase_summary *summary, const char *text)
{
	size_t		end = strlen(summary->note);

	mml_format(summary->note + end, sizeof(summary->note) - end, "%s%s", end > 0 ? "; " : "", text);
}

static void
fill_summary(mml_phase_summary *summary, const mml_outcome *outcome, size_t n_rows)
{
	summary->epochs = outcome->epochs;
	summary->rows = (int64_t) n_rows;
	summary->seconds = outcome->seconds;
	summary->rows_per_second = outcome->seconds > 0.0 ? (double) outcome->rows / outcome->seconds : NAN;
	summary->train_logloss = outcome->train_logloss;
	summary->valid_logloss = outcome->best.logloss;
	summary->valid_auc = outcome->best.auc;
	summary->valid_wauc = outcome->best.wauc;
}

/* Domains too small for experts. */
static void
note_domains(const mml_run *run, mml_phase_summary *summary)
{
	uint32_t	n_domains = run->n_domain_ids - 1;
	uint32_t	n_served = (uint32_t) (run->rows->n_experts / run->config.experts_per_domain);
	char		text[80];

	if (run->config.method == MML_BACKBONE || n_served == n_domains)
		return;
	mml_format(text, sizeof(text), "%u of %u domains without expert", n_domains - n_served, n_domains);
	mml_add_note(summary, text);
}

/* What a person should know about where training begins and how the state of a phase was chosen. */
static void
note_selection(const mml_run *run, mml_phase_summary *summary)
{
	char		text[64];

	if (run->previous_version > 0)
	{
		mml_format(text, sizeof(text), run->new_domain > 0 ? "a domain more for version %d" : "warm start from version %d",
				   run->previous_version);
		mml_add_note(summary, text);
	}
	if (run->n_valid == 0)
		mml_add_note(summary, "no validation rows: all epochs were run and the last state kept");
	else if (isnan(summary->valid_auc))
		mml_add_note(summary, "validation rows of one class only: chosen by logloss");
	if (run->new_domain == 0)
		note_domains(run, summary);
}

/* The leader's bookkeeping of a phase over all rows that is over. */
void
mml_note_whole_phase(mml_member *member, mml_phase phase)
{
	mml_run    *run = member->run;
	const mml_outcome *outcome = &member->course->phase.outcome;
	mml_phase_summary *summary = new_summary(run, phase);

	fill_summary(summary, outcome, run->n_train);
	if (summary == run->phases)
		note_selection(run, summary);
	if (member->control->is_late)
		mml_add_note(summary, "stopped by max_seconds");
	run->work_done = member->course->work_before + (double) run->n_train * run->config.epochs;
}

void
mml_note_experts(mml_member *member, const mml_figures *figures)
{
	mml_run    *run = member->run;
	mml_outcome sum = {.best = *figures};
	mml_phase_summary *summary = new_summary(run, MML_PHASE_EXPERTS);
	double		loss = 0.0;
	double		weight = 0.0;
	int			n_kept = 0;
	size_t		rows = 0;

	for (int e = 0; e < run->params->shape.n_experts; e++)
	{
		const mml_outcome *outcome = &member->cursors[e].outcome;
		uint32_t	domain = member->data.expert_domain[e / run->config.experts_per_domain];
		size_t		n = member->domain_start[domain + 1] - member->domain_start[domain];

		rows += n;
		n_kept += outcome->best_epoch < 0;
		sum.epochs += outcome->epochs;
		sum.rows += outcome->rows;
		sum.seconds += outcome->seconds;
		if (isnan(outcome->train_logloss))
			continue;
		loss += (double) n * outcome->train_logloss;
		weight += (double) n;
	}
	sum.train_logloss = weight > 0.0 ? loss / weight : NAN;
	/* less than the sum where several train at once */
	sum.seconds = MML_MIN(sum.seconds, member->course->experts_seconds);
	fill_summary(summary, &sum, rows);
	if (n_kept > 0)
	{
		char		text[128];

		mml_format(text, sizeof(text), "%d of %d experts kept their first state: no validation rows of both classes",
				   n_kept, run->new_domain > 0 ? run->config.experts_per_domain : run->params->shape.n_experts);
		mml_add_note(summary, text);
	}
}

void
mml_drop_phase(mml_run *run, int i)
{
	if (run->phases[i].is_used)
		mml_add_note(&run->phases[i], "not used");
	run->phases[i].is_used = 0;
}

void
mml_drop_phases(mml_run *run, int first)
{
	for (int i = first; i < run->n_phases; i++)
		mml_drop_phase(run, i);
}
