/** As xl shows times: 0:00:07, or 3 days, 4:05:06. */
export function durationText(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const [days, hours, minutes] = [Math.floor(whole / 86_400), Math.floor(whole / 3600) % 24, Math.floor(whole / 60) % 60];
  const two = (value: number): string => String(value).padStart(2, '0');
  const time = `${hours}:${two(minutes)}:${two(whole % 60)}`;
  return days === 0 ? time : `${days} ${days === 1 ? 'day' : 'days'}, ${time}`;
}
