// Package project owns the business problem and its file: what trimtab.yaml says, what is wrong with it, and the clock a project lives by.
// It must not know how data is stored, models are trained or traffic is moved.
package project
