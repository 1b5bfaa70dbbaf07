/*
 * phase.c - epochs over some rows: the inner loop of training (MODELS.md
 * section 5).
 *
 * One program for all participants.  In a step they share slices of rows, meet,
 * share the parts of the dense gradients and the touched rows of tables, and
 * meet again.  What each part is does not depend on who does it, so the model
 * is bitwise the same for 1 or n participants.
 */
#include <math.h>
#include <string.h>

#include "mml_train.h"

#define SHUFFLE_PIECE ((size_t) 65536) /* rows between two polls */
#define PASS_PRODUCTS ((size_t) 1 << 28)	/* multiplications between two polls */
#define SMALLEST_PASS ((size_t) 16)
#define SIGN_OF_LIFE 0.25		/* seconds between reports from inside an epoch */

/*
 * When a phase stops getting better it goes on from its best state in smaller
 * steps, and with less patience; it ends after the last of them.  Patience 0 =
 * as the option says.
 */
typedef struct rate_step
{
	int			divisor;		/* of the learning rate */
	int			patience;		/* epochs */
} rate_step;

static const rate_step rate_steps[] = {{1, 0}, {5, 2}, {25, 2}};

#define N_RATE_STEPS ((int) (sizeof(rate_steps) / sizeof(rate_steps[0])))

/*
 * Besides the state of an epoch's end, the average of the states on the way is
 * a candidate.  A state every so many steps goes into it, the i-th since the
 * phase began or its learning rate changed with share 1/i, at least SMALLEST_SHARE.
 */
#define STATES_PER_EPOCH 4
#define SMALLEST_SHARE 0.03f

void
mml_barrier(const mml_member *member)
{
	if (member->team.size > 1)
		member->team.barrier(member->team.self);
}

/* ------------------------------------------------------------------ states */

static mml_status
copy_for(mml_member *member, const mml_phase_plan *plan, mml_copy what)
{
	if (plan->expert < 0)
		return mml_copy_states(member, plan->groups, what);
	if (member->team.rank == 0)
		mml_copy_expert(member, plan->expert, what);
	return MML_OK;
}

/* ---------------------------------------------------------------- evaluate */

/* Logits of this participant's share of rows: [n].  Each works in a part of the batch's memory of its own. */
static mml_status
score_rows(mml_member *member, const mml_pass *pass, const uint32_t *rows, size_t n, float *logits)
{
	mml_batch	batch = member->batch;
	size_t		capacity = batch.capacity / MML_SLICES;
	size_t		start = capacity * (size_t) member->team.rank;
	size_t		block = 0;

	if (member->team.rank >= MML_SLICES)
		return MML_OK;
	batch.row = member->spare;
	for (size_t at = 0; at < n; at += capacity, block++)
	{
		size_t		n_rows = MML_MIN(n - at, capacity);

		if (block % (size_t) MML_MIN(member->team.size, MML_SLICES) != (size_t) member->team.rank)
			continue;
		memcpy(member->spare + start, rows + at, n_rows * sizeof(uint32_t));
		MML_TRY(mml_net_forward(&member->net, pass, &batch, start, n_rows));
		memcpy(logits + at, batch.logit + start, n_rows * sizeof(float));
	}
	return MML_OK;
}

static mml_status
logloss_of(mml_host *host, const float *logits, const float *labels, size_t n, double *logloss)
{
	double		sum = 0.0;

	for (size_t i = 0; i < n; i++)
	{
		sum += mml_bce(logits[i], labels[i]);
		if (i % 65536 == 65535)
			MML_TRY(mml_poll(host));
	}
	*logloss = n > 0 ? sum / (double) n : NAN;
	return MML_OK;
}

mml_status
mml_domain_aucs(mml_member *member, double *aucs)
{
	for (uint32_t d = 0; d < member->run->n_domain_ids; d++)
	{
		size_t		first = member->valid_start[d];
		size_t		n = member->valid_start[d + 1] - first;

		MML_TRY(mml_auc_of_logits(member->host, &member->metrics, member->logits + first, member->labels + first, n,
								  &aucs[d]));
	}
	return MML_OK;
}

/* WAUC = sum n_t AUC_t / sum n_t over the domains with both classes. */
static mml_status
weighted_auc(mml_member *member, double *wauc)
{
	double		sum = 0.0;
	double		weight = 0.0;

	for (uint32_t d = 0; d < member->run->n_domain_ids; d++)
	{
		size_t		first = member->valid_start[d];
		size_t		n = member->valid_start[d + 1] - first;
		double		auc;

		MML_TRY(mml_auc_of_logits(member->host, &member->metrics, member->logits + first, member->labels + first, n,
								  &auc));
		if (isnan(auc))
			continue;
		sum += (double) n * auc;
		weight += (double) n;
	}
	*wauc = weight > 0.0 ? sum / weight : NAN;
	return MML_OK;
}

/* Figures of validation rows [first, first + n) from their logits. */
static mml_status
measure(mml_member *member, size_t first, size_t n, mml_figures *figures)
{
	MML_TRY(logloss_of(member->host, member->logits + first, member->labels + first, n, &figures->logloss));
	MML_TRY(mml_auc_of_logits(member->host, &member->metrics, member->logits + first, member->labels + first, n,
							  &figures->auc));
	figures->wauc = NAN;
	return n == member->run->n_valid ? weighted_auc(member, &figures->wauc) : MML_OK;
}

double
mml_figures_score(const mml_figures *figures)
{
	return isnan(figures->auc) ? -figures->logloss : figures->auc;
}

/* All together score, the leader measures, all read. */
static mml_status
evaluate(mml_member *member, const mml_pass *pass, size_t first, size_t n, mml_figures *figures)
{
	mml_pass	scoring = *pass;

	scoring.is_training = false;
	scoring.groups = 0;
	MML_TRY(score_rows(member, &scoring, member->order + member->run->n_train + first, n, member->logits + first));
	mml_barrier(member);
	if (member->team.rank == 0)
		MML_TRY(measure(member, first, n, &member->control->figures));
	mml_barrier(member);
	*figures = member->control->figures;
	return MML_OK;
}

mml_status
mml_evaluate(mml_member *member, mml_mode mode, mml_figures *figures)
{
	mml_pass	pass = {.mode = mode,.gate = (mml_gate) member->run->config.gate};

	return evaluate(member, &pass, 0, member->run->n_valid, figures);
}

/* -------------------------------------------------------------------- step */

/* What a phase has at hand while it runs. */
typedef struct phase_work
{
	const mml_phase_plan *plan;
	mml_pass	pass;
	mml_job    *jobs;
	int			n_jobs;
	mml_cursor	at;				/* each participant's; figures of the outcome: the leader's */
	uint64_t	stream;			/* random numbers of the phase */
	double		epoch_loss;		/* leader: of the epoch so far */
	double		epoch_weight;
	int64_t		epoch_rows;
	double		started;		/* leader: the epoch */
} phase_work;

static double
total_weight(const mml_member *member, const uint32_t *rows, size_t n)
{
	double		sum = 0.0;

	if (!member->run->has_weights)
		return (double) n;
	for (size_t i = 0; i < n; i++)
	{
		float		weight;

		memcpy(&weight, mml_data_record(&member->data, rows[i]) + MML_ROW_WEIGHT, sizeof(weight));
		sum += weight;
	}
	return sum;
}

/* Rows that go through a layer at once: about PASS_PRODUCTS multiplications in the widest, so that polls come often. */
static size_t
rows_of_pass(const mml_shape *shape)
{
	size_t		widest = 1;

	for (int l = 0; l < shape->n_layers; l++)
		widest = MML_MAX(widest, (size_t) shape->width[l] * (size_t) shape->width[l + 1]);
	return MML_MAX(PASS_PRODUCTS / widest, SMALLEST_PASS);
}

/* Forward and backward of this participant's slices. */
static mml_status
run_slices(mml_member *member, const mml_pass *pass)
{
	size_t		most = rows_of_pass(&member->net.shape);

	for (int s = member->team.rank; s < MML_SLICES; s += member->team.size)
	{
		size_t		start;
		size_t		n;

		mml_slice(member->batch.n, s, &start, &n);
		for (size_t end = start + n; start < end; start += n)
		{
			n = MML_MIN(end - start, most);
			MML_TRY(mml_net_forward(&member->net, pass, &member->batch, start, n));
			MML_TRY(mml_net_backward(&member->net, pass, &member->batch, start, n));
		}
	}
	return MML_OK;
}

/* The next job of the step that nobody has taken. */
static int
take_job(mml_member *member)
{
	return (int) __atomic_fetch_add(&member->control->next_job, 1, __ATOMIC_RELAXED);
}

/* Gradients and steps: shares of the tables' rows, then the dense tensors, by whoever is free. */
static mml_status
run_updates(mml_member *member, phase_work *work)
{
	mml_adam	adam;
	mml_table_step step = {
		.net = &member->net,.adam = &adam,.l2 = (float) (2.0 * member->run->config.l2),.only = mml_added_tables(member)
	};
	mml_row_visitor visitor = {.visit = mml_table_step_visit,.self = &step};

	mml_adam_at(&adam, work->plan->learning_rate / rate_steps[work->at.rate].divisor, work->at.t);
	if (work->plan->groups & MML_GROUP_TABLE)
		MML_TRY(mml_tables_visit(member->host, &member->net, &member->batch, member->team.rank, member->team.size,
								 &member->tables, &visitor));
	for (int j = take_job(member); j < work->n_jobs; j = take_job(member))
	{
		MML_TRY(mml_poll(member->host));
		mml_job_run(&member->net, &work->pass, &member->batch, &work->jobs[j]);
		mml_adam_job(&member->net, &adam, &work->jobs[j]);
	}
	return MML_OK;
}

/* The leader's bookkeeping of a step. */
static void
note_step(mml_member *member, phase_work *work)
{
	for (size_t b = 0; b < member->batch.n; b++)
		work->epoch_loss += member->batch.loss[b];
	work->epoch_weight += member->batch.total_weight;
	work->epoch_rows += (int64_t) member->batch.n;
	if (member->run->deadline > 0.0 && member->host->seconds(member->host->self) > member->run->deadline)
		member->control->is_late = 1;
}

static mml_status
run_step(mml_member *member, phase_work *work, const uint32_t *rows, size_t n, uint64_t batch_stream)
{
	member->batch.row = rows;
	member->batch.n = n;
	member->batch.total_weight = total_weight(member, rows, n);
	work->pass.drop_stream = batch_stream;
	work->at.t++;
	if (member->team.rank == 0)
		member->control->next_job = 0;
	MML_TRY(run_slices(member, &work->pass));
	MML_TRY(mml_diversity_backward(member->host, &member->net, &work->pass, member->team.rank, member->team.size,
								   member->overlap));
	mml_barrier(member);
	MML_TRY(run_updates(member, work));
	if (member->team.rank == 0)
		note_step(member, work);
	mml_barrier(member);
	return MML_OK;
}

/* ---------------------------------------------------------------- progress */

static mml_epoch
describe(const mml_member *member, const phase_work *work, int epoch)
{
	const mml_phase_plan *plan = work->plan;
	const mml_run *run = member->run;
	mml_epoch	report;

	memset(&report, 0, sizeof(report));
	report.run = plan->run_index;
	report.phase = plan->phase;
	report.expert = plan->expert;
	report.n_experts = run->params->shape.n_experts;
	report.domain = plan->expert < 0 ? -1 : (int) plan->domain - 1;
	if (plan->expert >= 0 && run->rows != NULL)
		report.domain_name = run->rows->names->entries[report.domain].name;
	report.epoch = epoch;
	report.n_epochs = run->config.epochs;
	report.rate_divisor = rate_steps[work->at.rate].divisor;
	report.rows = work->epoch_rows;
	report.n_steps = (int64_t) ((plan->n_rows + (size_t) run->config.batch_size - 1) / (size_t) run->config.batch_size);
	report.step = (work->epoch_rows + run->config.batch_size - 1) / run->config.batch_size;
	report.fraction = run->work_total > 0.0 ? run->work_done / run->work_total : 0.0;
	report.train_logloss = work->epoch_weight > 0.0 ? work->epoch_loss / work->epoch_weight : NAN;
	report.valid_logloss = NAN;
	report.valid_auc = NAN;
	return report;
}

/* A few times a second, from inside an epoch. */
static void
give_sign(mml_member *member, const phase_work *work, int epoch)
{
	mml_host   *host = member->host;
	double		now = host->seconds(host->self);
	mml_epoch	report;

	if (!member->is_leader || host->report == NULL || now - member->last_sign < SIGN_OF_LIFE)
		return;
	member->last_sign = now;
	report = describe(member, work, epoch);
	report.seconds = now - work->started;
	report.is_running = true;
	host->report(host->self, &report);
}

static void
report_epoch(mml_member *member, const phase_work *work, int epoch, const mml_figures *figures, double seconds,
			 bool is_best)
{
	mml_host   *host = member->host;
	mml_epoch	report = describe(member, work, epoch);
	mml_epoch  *logged;

	report.seconds = seconds;
	report.valid_logloss = figures->logloss;
	report.valid_auc = figures->auc;
	report.is_best = is_best;
	if (member->is_leader)
	{
		if (host->report != NULL)
			host->report(host->self, &report);
		return;
	}
	logged = mml_share_epoch(member->run, work->plan->expert, epoch);
	if (logged != NULL)
		*logged = report;
}

/* ------------------------------------------------------------------- epoch */

/* By the leader, in pieces between which it can be cancelled. */
static mml_status
shuffle_rows(mml_member *member, const mml_phase_plan *plan, uint64_t epoch_stream)
{
	for (size_t to = plan->n_rows; to > 0;)
	{
		size_t		from = to > SHUFFLE_PIECE ? to - SHUFFLE_PIECE : 0;

		mml_shuffle_places(epoch_stream, plan->rows, from, to);
		MML_TRY(mml_poll(member->host));
		to = from;
	}
	return MML_OK;
}

/* The order of the epoch's rows: shuffled by the leader, grouped by all. */
static mml_status
order_rows(mml_member *member, const phase_work *work, uint64_t epoch_stream)
{
	const mml_phase_plan *plan = work->plan;
	size_t		batch_size = (size_t) member->run->config.batch_size;
	size_t		batch = 0;

	if (member->team.rank == 0)
		MML_TRY(shuffle_rows(member, plan, epoch_stream));
	mml_barrier(member);
	for (size_t at = 0; at < plan->n_rows; at += batch_size, batch++)
	{
		if (batch % (size_t) member->team.size != (size_t) member->team.rank)
			continue;
		mml_group_by_domain(&member->data, plan->rows + at, MML_MIN(batch_size, plan->n_rows - at),
							member->counts, member->spare);
		if (batch % 64 == 63)
			MML_TRY(mml_poll(member->host));
	}
	mml_barrier(member);
	return MML_OK;
}

/* After `done` batches of `all` of an epoch: whether the state goes into the average, and that. */
static mml_status
average_state(mml_member *member, phase_work *work, uint64_t done, uint64_t all)
{
	if (work->plan->n_valid == 0 || done * STATES_PER_EPOCH / all == (done - 1) * STATES_PER_EPOCH / all)
		return MML_OK;
	work->at.n_averaged++;
	member->average_share = MML_MAX(1.0f / (float) work->at.n_averaged, SMALLEST_SHARE);
	return copy_for(member, work->plan, MML_COPY_INTO_AVERAGE);
}

static mml_status
run_epoch(mml_member *member, phase_work *work, int epoch)
{
	const mml_phase_plan *plan = work->plan;
	size_t		batch_size = (size_t) member->run->config.batch_size;
	uint64_t	n_batches = (plan->n_rows + batch_size - 1) / batch_size;
	uint64_t	epoch_stream = mml_combine(work->stream, (uint64_t) epoch);
	uint64_t	batch = 0;

	work->epoch_loss = 0.0;
	work->epoch_weight = 0.0;
	work->epoch_rows = 0;
	work->started = member->host->seconds(member->host->self);
	MML_TRY(order_rows(member, work, epoch_stream));
	for (size_t at = 0; at < plan->n_rows; at += batch_size, batch++)
	{
		size_t		n = MML_MIN(batch_size, plan->n_rows - at);

		MML_TRY(run_step(member, work, plan->rows + at, n, mml_combine(epoch_stream, batch + 1)));
		MML_TRY(average_state(member, work, batch + 1, n_batches));
		if (member->is_leader)
			member->run->work_done += (double) n;
		if (member->team.rank == 0)
			give_sign(member, work, epoch);
		if (member->control->is_late)
			break;
	}
	return MML_OK;
}

static mml_status
diverged(mml_member *member, const mml_phase_plan *plan, int epoch)
{
	(void) mml_fail(member->host, MML_DIVERGED, "training diverged");
	mml_fail_detail(member->host, "In phase %s, epoch %d, the loss is not a finite number.", mml_phase_name(plan->phase), epoch);
	mml_fail_hint(member->host, "Lower \"learning_rate\", or look for extreme values in the numeric features.");
	return MML_DIVERGED;
}

/* An expert alone ends with its patience: smaller steps nearly doubled its epochs and gained .0001 of WAUC at most. */
static bool
is_last_rate(const phase_work *work)
{
	return work->plan->expert >= 0 || work->at.rate == N_RATE_STEPS - 1;
}

/* Whether the phase has had no better epoch for so long that it must change or end. */
static bool
is_stuck(const mml_member *member, const phase_work *work, int epoch)
{
	const mml_cursor *at = &work->at;
	int			patience = at->rate == 0 ? member->run->config.patience :
		MML_MIN(rate_steps[at->rate].patience, member->run->config.patience);

	return work->plan->n_valid > 0 && epoch - MML_MAX(at->outcome.best_epoch, at->rate_since) >= patience;
}

/* Counts rows trained on towards the next pause. */
static void
note_rows(mml_member *member, uint64_t n)
{
	(void) __atomic_fetch_add(&member->course->rows_since, n, __ATOMIC_RELAXED);
}

bool
mml_pause_is_due(const mml_member *member)
{
	return member->course->pauses &&
		__atomic_load_n(&member->course->rows_since, __ATOMIC_RELAXED) >= (uint64_t) member->run->n_train;
}

/* The leader compares the epoch's last state and the average with the best so far. */
static void
decide(mml_member *member, phase_work *work, int epoch, const mml_figures *last, const mml_figures *average,
	   double seconds)
{
	mml_control *control = member->control;
	mml_outcome *outcome = &work->at.outcome;
	bool		is_average = mml_figures_score(average) > mml_figures_score(last);
	const mml_figures *figures = is_average ? average : last;
	double		score = mml_figures_score(figures);
	double		best = mml_figures_score(&outcome->best);
	bool		is_finite = isfinite(work->epoch_loss) && (work->plan->n_valid == 0 || isfinite(last->logloss));

	control->status = is_finite ? MML_OK : MML_DIVERGED;
	control->is_average = is_average;
	control->is_better = work->plan->n_valid == 0 || score > best;
	if (control->is_better)
	{
		outcome->best = *figures;
		outcome->best_epoch = epoch;
		outcome->train_logloss = work->epoch_weight > 0.0 ? work->epoch_loss / work->epoch_weight : NAN;
	}
	outcome->epochs = epoch;
	outcome->seconds += seconds;
	outcome->rows += work->epoch_rows;
	control->is_slower = is_stuck(member, work, epoch);
	control->is_over = control->is_late || epoch >= member->run->config.epochs ||
		(control->is_slower && is_last_rate(work));
	note_rows(member, (uint64_t) work->epoch_rows);
	control->is_paused = mml_pause_is_due(member);
	report_epoch(member, work, epoch, figures, seconds, control->is_better);
}

/* Figures of the average, which stands in the values' place meanwhile. */
static mml_status
evaluate_average(mml_member *member, const phase_work *work, mml_figures *figures)
{
	MML_TRY(copy_for(member, work->plan, MML_COPY_SWAP_AVERAGE));
	mml_barrier(member);
	MML_TRY(evaluate(member, &work->pass, work->plan->valid_first, work->plan->n_valid, figures));
	return copy_for(member, work->plan, MML_COPY_SWAP_AVERAGE);
}

/* The better state of an epoch becomes the best one. */
static mml_status
keep_best(mml_member *member, const phase_work *work)
{
	bool		is_average = member->control->is_average != 0;

	if (is_average)
		MML_TRY(copy_for(member, work->plan, MML_COPY_SWAP_AVERAGE));
	MML_TRY(copy_for(member, work->plan, MML_COPY_VALUE_TO_BEST));
	return is_average ? copy_for(member, work->plan, MML_COPY_SWAP_AVERAGE) : MML_OK;
}

static mml_status
end_epoch(mml_member *member, phase_work *work)
{
	int			epoch = work->at.epoch;
	double		seconds = member->host->seconds(member->host->self) - work->started;
	mml_figures last;
	mml_figures average;

	MML_TRY(evaluate(member, &work->pass, work->plan->valid_first, work->plan->n_valid, &last));
	average = last;
	if (work->at.n_averaged > 0)
		MML_TRY(evaluate_average(member, work, &average));
	if (member->team.rank == 0)
		decide(member, work, epoch, &last, &average, seconds);
	mml_barrier(member);
	if (member->control->status != MML_OK)
		return diverged(member, work->plan, epoch);
	work->at.is_over = member->control->is_over;
	if (member->control->is_better)
		MML_TRY(keep_best(member, work));
	else if (member->control->is_slower && !work->at.is_over)
	{
		/* the moments stay: they know the gradients' size */
		MML_TRY(copy_for(member, work->plan, MML_COPY_BEST_TO_VALUE));
		work->at.rate++;
		work->at.rate_since = epoch;
		work->at.n_averaged = 0;
	}
	mml_barrier(member);
	return MML_OK;
}

/* The state before the phase is the first candidate. */
static mml_status
begin(mml_member *member, phase_work *work)
{
	mml_figures figures;

	if (work->plan->expert < 0)
		MML_TRY(mml_copy_states(member, work->plan->groups, MML_COPY_CLEAR_MOMENTS));
	MML_TRY(copy_for(member, work->plan, MML_COPY_VALUE_TO_BEST));
	MML_TRY(evaluate(member, &work->pass, work->plan->valid_first, work->plan->n_valid, &figures));
	work->at.is_begun = 1;
	work->at.is_over = member->control->is_late != 0 || work->plan->n_rows == 0;
	work->at.outcome.best = figures;
	work->at.outcome.train_logloss = NAN;
	if (member->team.rank == 0)
		report_epoch(member, work, 0, &figures, 0.0, true);
	mml_barrier(member);
	return MML_OK;
}

/* The rows are shuffled from the order before: where they are in their first one again, the epochs' orders follow. */
static mml_status
catch_up(mml_member *member, phase_work *work)
{
	while (work->at.n_ordered < work->at.epoch)
		MML_TRY(order_rows(member, work, mml_combine(work->stream, (uint64_t) ++work->at.n_ordered)));
	return MML_OK;
}

static mml_status
run_epochs(mml_member *member, phase_work *work)
{
	bool		is_paused = false;

	MML_TRY(catch_up(member, work));
	if (work->at.is_over)
		return MML_OK;
	if (!work->at.is_begun)
		MML_TRY(begin(member, work));
	while (!work->at.is_over && !is_paused)
	{
		work->at.n_ordered = ++work->at.epoch;
		MML_TRY(run_epoch(member, work, work->at.epoch));
		MML_TRY(end_epoch(member, work));
		is_paused = member->control->is_paused;
	}
	if (work->at.is_over)
		MML_TRY(copy_for(member, work->plan, MML_COPY_BEST_TO_VALUE));
	mml_barrier(member);
	return MML_OK;
}

mml_status
mml_phase_run(mml_member *member, const mml_phase_plan *plan, mml_cursor *cursor)
{
	phase_work	work = {
		.plan = plan,.at = *cursor,
		.pass = {
			.mode = plan->mode,.expert = plan->expert,.gate = (mml_gate) member->run->config.gate,
			.is_training = true,.groups = plan->groups,.only_domain = member->run->new_domain
		}
	};
	mml_status	status;

	work.stream = mml_combine(mml_combine((uint64_t) member->run->config.seed, (uint64_t) plan->phase + 1),
							  (uint64_t) (plan->expert + 1));
	mml_penalties_of(&member->run->config, &member->net.shape, &work.pass);
	MML_TRY(mml_jobs_plan(member->host, &member->net, &work.pass, &work.jobs, &work.n_jobs));
	status = run_epochs(member, &work);
	mml_release(member->host, work.jobs);
	MML_TRY(status);
	if (member->team.rank == 0)
		*cursor = work.at;
	mml_barrier(member);
	return MML_OK;
}

bool
mml_cursor_check(const mml_cursor *cursor, int32_t most_epochs)
{
	const mml_outcome *outcome = &cursor->outcome;

	return (cursor->is_begun == 0 || cursor->is_begun == 1) && (cursor->is_over == 0 || cursor->is_over == 1) &&
		cursor->epoch >= 0 && cursor->epoch <= most_epochs && (cursor->is_begun || cursor->epoch == 0) &&
		cursor->rate >= 0 && cursor->rate < N_RATE_STEPS && cursor->rate_since >= 0 &&
		cursor->rate_since <= cursor->epoch && cursor->n_averaged >= 0 && cursor->n_averaged < INT32_MAX / 2 &&
		cursor->t >= 0 && cursor->t < INT64_MAX / 2 && outcome->epochs >= 0 && outcome->epochs <= cursor->epoch &&
		outcome->best_epoch >= -1 && outcome->best_epoch <= cursor->epoch && outcome->rows >= 0;
}
