/*
 * promotion.h - private to promotion.c and the files that train: whether a
 * version that was trained again becomes the current one.
 */
#ifndef MOEMLORA_PROMOTION_H
#define MOEMLORA_PROMOTION_H

#include "moemlora.h"

typedef struct Promotion Promotion;

/* In the current memory context.  `options` must live as long. */
extern Promotion *PromotionCreate(mml_host *host, const TrainOptions *options);

/* Whether the current version is needed: PromotionSetCurrent(). */
extern bool PromotionCompares(const Promotion *promotion);

/* The current version, of the same host.  It is freed when it has done its part, unless a warm start goes on from it. */
extern void PromotionSetCurrent(Promotion *promotion, mml_model *current, int32 version);

/* The source's columns are known. */
extern void PromotionBind(Promotion *promotion, TupleDesc desc);

/* One row that has just been put into the set to train on; `row` for messages. */
extern void PromotionPutRow(Promotion *promotion, TupleTableSlot *slot, const mml_row_facts *facts, int64 row);

/* The set is finished: only the validation rows are of interest, and the current version has done its part. */
extern void PromotionTakeRows(Promotion *promotion, const mml_rows *rows);

/* About the model that was trained on the set. */
extern void PromotionDecide(Promotion *promotion, const mml_model *model, ModelDecision *decision);

/* A NOTICE, and a line in the server's log: a scheduled run has no other witness. */
extern void PromotionTell(const char *model_name, int32 version, const ModelDecision *decision);

#endif							/* MOEMLORA_PROMOTION_H */
