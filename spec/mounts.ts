// Mounts as people ask for them.
import type { Mount } from './types.ts';

/** `type=bind,src=/tmp,dst=/host,options=rbind:ro`. Throws when a part is unknown or no destination is given. */
export function parseMount(text: string): Mount {
  const mount: Mount = { destination: '' };
  for (const part of text.split(',')) {
    const equals = part.indexOf('=');
    const [key, value] = equals < 0 ? [part, ''] : [part.slice(0, equals), part.slice(equals + 1)];
    switch (key) {
      case 'type':
        mount.type = value;
        break;
      case 'source':
      case 'src':
        mount.source = value;
        break;
      case 'destination':
      case 'dst':
        mount.destination = value;
        break;
      case 'options':
        mount.options = value.split(':');
        break;
      default:
        throw new Error(`mount "${text}": "${key}" is not one of type, src, dst, options`);
    }
  }
  if (!mount.destination.startsWith('/')) throw new Error(`mount "${text}": dst must be an absolute path`);
  return mount;
}
