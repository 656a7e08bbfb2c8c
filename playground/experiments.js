// The guided experiments. Each sets the scene, asks what will happen, and then says what
// did happen in a sentence that is computed from the run, whatever happened.

import { DEFAULTS } from "./training.js";
import { failures, percent, short } from "./words.js";

const WHO = [
  "Both networks learn.",
  "Only the one with the layer learns.",
  "Only the one without the layer learns.",
  "Neither learns.",
];
const CLEAR = 0.03; // a difference in accuracy that one would call one

// title, scene: what the reader is told first; settings: other than the defaults; steps:
// how long it runs; question, options; outcome: the number of the option that is right,
// counted from 0, and the sentence; chapter, section, place: where the book explains it.
export const EXPERIMENTS = [
  {
    id: "rate",
    title: "Ten times the rate",
    scene: "Pictures, four layers of 32, and a learning rate of 1, where 0.1 is usual.",
    settings: { data: "pictures", rate: 1 },
    steps: 300,
    question: "Which network learns at ten times the rate?",
    options: WHO,
    outcome: whoLearns,
    chapter: "batch-norm-scratch",
    section: "why-it-works",
    place: "Why does it work?",
  },
  {
    id: "batch",
    title: "Batch of two",
    scene: "Two circles, and only two points in each batch.",
    settings: { data: "circles", batch: 2, rate: 0.03 },
    steps: 400,
    question: "Which network learns from batches of two?",
    options: WHO,
    outcome: whoLearns,
    chapter: "batch-norm-predict",
    section: "small-batches-and-who-does-not-care",
    place: "Small batches, and who does not care",
  },
  {
    id: "momentum",
    title: "Momentum 0.999, few steps",
    scene: "Pictures, and moving statistics with a momentum of 0.999.",
    settings: { data: "pictures", momentum: 0.999 },
    steps: 100,
    question: "How good will the network with the layer be in prediction mode?",
    options: [
      "About as good as in training mode.",
      "Clearly worse than in training mode.",
      "Clearly better than in training mode.",
    ],
    outcome(training) {
      const { latest, settings, step } = training;
      if (training.layered.failedAt !== null) return untold(training);
      const { training: own, prediction } = latest.with;
      const answer = compare(own.accuracy, prediction.accuracy);
      const share = percent(settings.momentum ** step);
      return {
        answer,
        sentence:
          `After ${step} steps the network with the layer gets ${percent(own.accuracy)} ` +
          `right in training mode and, with the same weights, ` +
          `${percent(prediction.accuracy)} in prediction mode: ${share} of each ` +
          `moving statistic is still its start, 0 or 1.`,
      };
    },
    chapter: "batch-norm-predict",
    section: "four-statistics-for-one-network",
    place: "Four statistics for one network",
  },
  {
    id: "small",
    title: "Start at N(0, 0.01²)",
    scene: "Two circles; all weights start as normal random numbers of standard deviation 0.01.",
    settings: { data: "circles", initial: "small" },
    steps: 300,
    question: "Which network learns from such small weights?",
    options: WHO,
    outcome: whoLearns,
    chapter: "batch-norm-scratch",
    section: "with-and-without-fashion-mnist",
    place: "With and without: Fashion-MNIST",
  },
  {
    id: "sigmoids",
    title: "Sigmoids, eight layers",
    scene: "Two circles, and eight hidden layers of sigmoids.",
    settings: { data: "circles", activation: "sigmoid", depth: 8 },
    steps: 500,
    question: "Which network learns?",
    options: WHO,
    outcome: whoLearns,
    chapter: "batch-norm-lenet",
    section: "the-baseline-lenet-with-sigmoids",
    place: "The baseline: LeNet with sigmoids",
  },
  {
    id: "large",
    title: "Weights ten times too large",
    scene: "Two circles; all weights start ten times as large as Xavier's.",
    settings: { data: "circles", initial: "large" },
    steps: 300,
    question: "Which network learns from such large weights?",
    options: WHO,
    outcome: whoLearns,
    chapter: "batch-norm-scratch",
    section: "what-the-gradient-loses",
    place: "What the gradient loses",
  },
  {
    id: "length",
    title: "How long the weights get",
    scene: "Two circles, a learning rate of 1, no weight decay. Watch the weights' length.",
    settings: { data: "circles", rate: 1 },
    steps: 300,
    question: "How does the length of the weights before a normalization change?",
    options: [
      "It never falls.",
      "It never grows.",
      "It grows in some layers or at some times, and falls at others.",
    ],
    outcome(training) {
      const { records, latest } = training;
      if (training.layered.failedAt !== null) return untold(training);
      const lengths = records.map((entry) => entry.with.lengths.slice(0, -1));
      const changes = lengths.slice(1).flatMap((now, i) => now.map((x, k) => x - lengths[i][k]));
      const falls = changes.filter((change) => change < 0).length;
      const rises = changes.filter((change) => change > 0).length;
      const [before, after] = [records[0], latest].map(({ with: side }) => side.lengths[1]);
      return {
        answer: falls === 0 ? 0 : rises === 0 ? 1 : 2,
        sentence:
          (falls
            ? `At ${falls} of ${changes.length} checks, weights before a normalization were `
            : `At none of ${changes.length} checks were weights before a normalization `) +
          `shorter than at the check before; in layer 2 their length went from ` +
          `${short(before)} to ${short(after)}.`,
      };
    },
    chapter: "batch-norm-gluon",
    section: "seven-traps",
    place: "Seven traps, the fifth",
  },
  {
    id: "fair",
    title: "A fair start for both",
    scene: "Pictures, two layers, He's initial weights, and a learning rate of 0.1.",
    settings: { data: "pictures", depth: 2, initial: "he" },
    steps: 600,
    question: "Which network is better on the test set in the end?",
    options: ["Neither, clearly.", "The one without the layer.", "The one with the layer."],
    outcome(training) {
      const [layered, plain] = accuracies(training);
      const answer = compare(plain, layered);
      const verdict = [
        "no clear difference in this run",
        "in this run the layer does harm",
        "in this run the layer helps",
      ][answer];
      return {
        answer,
        sentence:
          `After ${training.step} steps the network with the layer gets ` +
          `${percent(layered)} of the test pictures right and the one without ` +
          `${percent(plain)}: ${verdict}.`,
      };
    },
    chapter: "batch-norm-scratch",
    section: "a-fairer-comparison",
    place: "A fairer comparison",
  },
];

// What can't be answered, as the network that was asked about has diverged.
const untold = (training) => ({ answer: null, sentence: failures(training).join(" ") });

export const settingsOf = ({ settings }) => ({ ...DEFAULTS, ...settings });

// 0 where both are about level, 1 where the second is clearly lower, 2 where it is higher.
function compare(first, second) {
  if (Math.abs(first - second) < CLEAR) return 0;
  return second < first ? 1 : 2;
}

// Right answers in prediction mode; a network that has diverged has none.
function accuracies({ latest }) {
  return [latest.with, latest.without].map(({ prediction }) => prediction.accuracy || 0);
}

// A network has learned if it has left guessing behind by a fifth of the way to all right.
function whoLearns(training) {
  const guessing = 1 / training.data.classes;
  const [layered, plain] = accuracies(training);
  const enough = guessing + (1 - guessing) / 5;
  const learned = [layered >= enough, plain >= enough];
  const answer = learned[0] ? (learned[1] ? 0 : 1) : learned[1] ? 2 : 3;
  const who = [
    "both networks have learned",
    "only the network with the layer has learned",
    "only the network without the layer has learned",
    "neither network has learned",
  ][answer];
  const [first, second] = training.sides.map(({ failedAt }, i) =>
    failedAt === null
      ? `gets ${percent([layered, plain][i])} right`
      : `diverged at step ${failedAt}`,
  );
  return {
    answer,
    sentence:
      `After ${training.step} steps ${who}: in prediction mode, the one with the layer ` +
      `${first}, the one without ${second}, and guessing would get ${percent(guessing)} right.`,
  };
}
