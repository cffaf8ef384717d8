/** Messages on channels of `node:diagnostics_channel`, for whoever observes a process from outside of its code. */
import { builtin } from './platform.ts';

/**
 * Says something on a channel to those who listen; without any it is not made. What they throw is raised by Node as uncaught, and no
 * matter of who speaks.
 */
export function speaker<Message>(name: string): (message: () => Message) => void {
  const channel = builtin('node:diagnostics_channel')?.channel(name);
  return (message) => {
    if (channel?.hasSubscribers) channel.publish(message());
  };
}
