"""The tasks: the control loop, one task per device (supervisor and writer), the planner's, the grid sessions'."""
